/** The page without scripts: its contents and links. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hasAddress, hasText, onPage, useBrowser, useWorker } from "./browser.mjs";
import { newId, server, Tree } from "./events.mjs";

useBrowser();
const worker = useWorker();
const unique = newId();

test("without a script the list leads to a tree, states and the search narrow it, and pages go on", async () => {
  const [good, bad] = [new Tree(`plain good ${unique}`), new Tree(`plain bad ${unique}`)];
  await worker.send(good.own, good.end(good.own, 5), bad.own, bad.end(bad.own, 5, { message: `no room ${unique}` }));
  const title = (tree) => new RegExp(`^${tree.name} <\\d+>$`);
  await onPage(
    `${server}/tasks?plain`,
    async (page) => {
      await page.getByRole("textbox").fill(unique);
      await page.getByRole("button", { name: "Search" }).click();
      await hasAddress(page, new RegExp(`/tasks\\?plain=&q=${unique}$`));
      for (const tree of [good, bad]) await page.getByRole("link", { name: title(tree) }).waitFor();
      await page.getByRole("link", { name: /failed$/ }).click();
      await hasAddress(page, /state=failed/);
      const link = page.getByRole("link", { name: title(bad) });
      // Links differ from text not only by colour.
      assert.match(await link.evaluate((element) => getComputedStyle(element).textDecorationLine), /underline/);
      await link.click();
      await hasAddress(page, /\/tasks\/\d+\?plain$/);
      await hasText(page.locator("h1"), title(bad));
      await hasText(page.locator("pre b"), `no room ${unique}`);
      await page.goBack();
      await hasAddress(page, /state=failed/);
    },
    { javaScriptEnabled: false },
  );
});
