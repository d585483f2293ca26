/** Checks automatic accessibility rules on every screen, in both themes. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { before, test } from "node:test";
import { onPage, useBrowser } from "./browser.mjs";
import { server } from "./events.mjs";
import { screens } from "./screens.mjs";

useBrowser();
let all;
let axe;
before(async () => {
  axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
  all = await screens();
  // The page without a script is one of the screens: a list and a tree.
  const tree = all.find(({ name }) => name === "tree");
  all.push({ name: "list without a script", address: `${server}/tasks?plain`, ready: "table a" }, { name: "tree without a script", address: `${tree.address}?plain`, ready: "table b" });
});

for (const colorScheme of ["light", "dark"]) {
  test(`no screen breaks a rule that matters, ${colorScheme}`, async (context) => {
    for (const { name, address, ready, act } of all) {
      await context.test(name, () =>
        onPage(
          address,
          async (page) => {
            await page.locator(ready).first().waitFor();
            await act?.(page);
            await page.evaluate(axe);
            const { violations } = await page.evaluate(() => globalThis.axe.run({ resultTypes: ["violations"], rules: { "target-size": { enabled: true } } }));
            const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
            assert.deepEqual(serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 160)).join("\n")}`), []);
          },
          { colorScheme },
        ),
      );
    }
  });
}
