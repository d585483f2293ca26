/** Cancelling open processes of a tree: confirmation, numbers, and the processes that continue. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { before, test } from "node:test";
import { hasText, onPage, useBrowser } from "./browser.mjs";
import { openChannel, useChannels } from "./channel.mjs";
import { newId, nowUs, Tree, Worker } from "./events.mjs";
import { addUser, logIn, skipUsers as skip } from "./users.mjs";

useBrowser();
useChannels();
let user;
before(() => {
  user = skip || addUser("operator");
});

/** A worker whose client is too old for a command channel. */
async function mute(hostname) {
  const worker = new Worker({ program: "woven", hostname });
  await worker.send({ type: "worker-online", time_us: nowUs(), started_us: nowUs() - 60_000_000, version: "0.1.0", heartbeat_interval_ms: 600_000 });
  return worker;
}

/** A run with two programs: one ends cancelled processes, the other does not accept commands. */
async function halfMute(name) {
  const host = newId();
  const [worker, other] = [await new Worker({ program: "importer", hostname: host }).online(), await mute(host)];
  const tree = new Tree(name);
  const part = tree.start("a part", tree.id, 100);
  const far = tree.start("far away", tree.id, 200);
  await worker.send(tree.own, part);
  await other.send(far);
  const told = [];
  const end = (each) => ({ ...tree.end(each, 50_000), outcome: "cancelled" });
  const close = await openChannel(worker, {
    cancel: async ({ processes }) => {
      told.push(processes);
      await worker.send(end(part), ...(processes === undefined ? [end(tree.own)] : []));
      return { status: "ok", value: { aborted: 1 } };
    },
  });
  return { host, tree, part, far, told, close };
}

test("a run is cancelled after it was counted, and what goes on says why", { skip }, async () => {
  const { host, tree, far, told, close } = await halfMute("to be cancelled");
  await onPage("about:blank", async (page) => {
    await logIn(page, user, tree.address);
    const choice = page.locator(".root-header .choices").getByRole("button", { name: "Cancel this run" });
    const dialog = page.getByRole("dialog");
    await page.locator(".root-header .menu summary").click();
    await choice.click();
    await hasText(dialog.locator(".count"), "3 processes will be cancelled.");
    await hasText(dialog, new RegExp(`1 worker will be notified.*importer@${host}.*1 worker can’t be notified: the processes there continue.*woven@${host}.*accepts no commands`));

    // Enter does not confirm: the focused button leaves everything unchanged.
    await page.keyboard.press("Enter");
    await dialog.waitFor({ state: "detached" });
    assert.deepEqual(told, []);

    await page.locator(".root-header .menu summary").click();
    await choice.click();
    await dialog.getByRole("button", { name: "Cancel 3 processes" }).click();
    await hasText(dialog.locator(".count"), "2 processes have ended.");
    await hasText(dialog.locator('[data-why="unsupported"]'), new RegExp(`^woven@${host} accepts no commands.*far away$`));
    assert.deepEqual(told, [undefined]);
    await dialog.getByRole("button", { name: "Close" }).click();
    await page.locator(`.node[data-process="${far.id}"][data-state="running"]`).waitFor();
  });
  close();
});

test("a process is cancelled from its panel by keys, in Chinese, on a phone, with nothing left in English", { skip }, async () => {
  const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
  const { tree, part, told, close } = await halfMute("取消");
  await onPage(
    "about:blank",
    async (page) => {
      await logIn(page, user, `${tree.address}?process=${part.id}`);
      await page.locator(".panel .actions").getByRole("button", { name: "取消" }).focus();
      await page.keyboard.press("Enter");
      const dialog = page.getByRole("dialog");
      await hasText(dialog.locator(".count"), "将取消 1 个过程。");
      const said = await dialog.evaluate((element) => {
        const copy = element.cloneNode(true);
        for (const given of copy.querySelectorAll("[translate=no], .name")) given.remove();
        return copy.textContent;
      });
      assert.doesNotMatch(said.replaceAll(/SIGTERM|SIGKILL|`monitor run`/g, ""), /[A-Za-z]{2}/);
      for (const button of await dialog.getByRole("button").all()) assert.ok((await button.boundingBox()).height >= 44);
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => globalThis.axe.run("dialog", { resultTypes: ["violations"] }));
      assert.deepEqual(violations.filter(({ impact }) => impact === "serious" || impact === "critical").map(({ id }) => id), []);
      await page.keyboard.press("Shift+Tab");
      await page.keyboard.press("Enter");
      await hasText(dialog.locator(".count"), "已结束 1 个过程。");
      assert.deepEqual(told, [[part.id]]);
      await page.keyboard.press("Escape");
      await dialog.waitFor({ state: "detached" });
      // It has ended, so it can't be cancelled any more.
      await page.locator(".panel .actions").getByRole("button", { name: "取消" }).waitFor({ state: "detached" });
    },
    { locale: "zh-CN", colorScheme: "dark", viewport: { width: 390, height: 844 } },
  );
  close();
});

test("whoever may not cancel sees that, and is asked nothing", async () => {
  const { tree, told, close } = await halfMute("not for everybody");
  await onPage(tree.address, async (page) => {
    await page.locator(".root-header .menu summary").click();
    const choice = page.locator(".root-header .choices").getByRole("button", { name: "Cancel this run" });
    await page.locator(".root-header .refused").waitFor();
    assert.equal(await choice.getAttribute("aria-disabled"), "true");
    await choice.click({ force: true });
    assert.equal(await page.getByRole("dialog").count(), 0);
    assert.deepEqual(told, []);
  });
  close();
});
