/** Log lines of processes, live. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hasAddress, hasText, onPage, useBrowser, useWorker } from "./browser.mjs";
import { Tree } from "./events.mjs";

useBrowser();
const worker = useWorker();

const message = (page, index) => page.locator(".log .message").nth(index);
const last = (page) => page.locator(".log .message").last();

test("lines come while they are said, and are followed until one scrolls up", async () => {
  const tree = new Tree("talks");
  const step = tree.start("step", tree.id, 5);
  await worker.send(tree.own, step, ...Array.from({ length: 700 }, (_, line) => tree.log(step.id, 10 + line, "info", `line ${line}`)));
  await onPage(`${tree.address}?tab=logs`, async (page) => {
    await hasText(last(page), "line 699");
    await hasText(page.locator(".connection"), "live");
    await worker.send(tree.log(step.id, 900, "info", "line 700"));
    await hasText(last(page), "line 700");

    const lines = page.locator(".log-lines");
    await lines.evaluate((element) => (element.scrollTop = element.scrollHeight / 2));
    await page.locator(".follow").waitFor();
    const shown = await message(page, 25).textContent();
    await worker.send(tree.log(step.id, 901, "info", "line 701"), tree.log(step.id, 902, "error", "line 702"));
    await hasText(page.locator(".follow"), "2 new lines");
    assert.equal(await message(page, 25).textContent(), shown, "what is read stays where it is");
    await page.locator(".follow").click();
    await hasText(last(page), "line 702");

    // Earlier pages are loaded by scrolling up.
    await page.waitForFunction(() => {
      const element = document.querySelector(".log-lines");
      element.scrollTop = 0;
      return document.querySelector(".log .message")?.textContent === "line 0";
    });
  });
});

test("lines are found by level and text, shown in full, and lead to their process", async () => {
  const tree = new Tree("speaks");
  const step = tree.start("step <b>", tree.id, 5);
  const markup = "<img src=x onerror=alert(1)> second\nline";
  await worker.send(tree.own, step, tree.log(tree.id, 10, "info", "began"), tree.log(step.id, 20, "warn", markup, { target: "app::db", fields: { row: 7 } }), tree.log(step.id, 30, "odd", "odd level"));
  await onPage(`${tree.address}?tab=logs`, async (page) => {
    await hasText(last(page), "odd level");
    await page.locator(".logs-bar select").selectOption("warn");
    await hasText(message(page, 0), "<img src=x onerror=alert(1)> second line");
    await hasText(message(page, 1), "odd level");
    await page.locator(".logs-bar input").fill("SECOND");
    await page.waitForFunction(() => document.querySelectorAll(".log").length === 1);
    // The filter is in the address.
    await hasAddress(page, /level=warn.*said=SECOND/);
    await page.reload();
    await page.waitForFunction(() => document.querySelectorAll(".log").length === 1);
    await page.locator(".log").click();
    const opened = await page.locator(".opened").textContent();
    for (const known of ["app::db", "row", "7", "second\nline"]) assert.ok(opened.includes(known), known);
    await page.getByRole("button", { name: "Show its process" }).click();
    await hasText(page.locator(".panel h2"), "step <b>");
    await hasText(page.locator(".panel .log .message").first(), "<img src=x onerror=alert(1)> second line");
    await page.locator(".panel .log").first().click();
    await hasText(page.locator(".panel .opened dl > div").filter({ hasText: "Source" }).locator("dd"), "app::db");
    await page.locator(".panel .logs-bar input").fill("absent");
    await hasText(page.locator(".panel .logs .none"), "No log line matches.");
  });
});

test("lines are wrapped on request, and those of JSON have their own levels", async () => {
  const tree = new Tree("wrapped");
  const long = `a long line ${"of many words ".repeat(40)}`;
  const json = '{"level":"error","msg":"no such table","status":500}';
  await worker.send(tree.own, tree.log(tree.id, 10, "info", long), tree.log(tree.id, 20, "info", json), tree.log(tree.id, 30, "info", "File x\n    run()"), tree.end(tree.own, 50));
  await onPage(`${tree.address}?tab=logs`, async (page) => {
    const line = (text) => page.locator(".split > .logs .log").filter({ hasText: text });
    await hasText(line("no such table").locator(".level"), "error");
    await hasText(line("no such table").locator(".message"), "no such table  status=500");
    const height = async () => (await line("a long line").boundingBox()).height;
    assert.equal(await height(), 24);
    await page.locator(".split > .logs").getByRole("button", { name: "Wrap" }).click();
    await page.waitForFunction(() => document.querySelector(".split > .logs .log").getBoundingClientRect().height > 40);
    assert.match(await line("File x").locator(".message").innerText(), /File x\n {4}run\(\)/);
    // The choice is kept.
    await page.reload();
    await page.locator('.split > .logs [data-wraps="true"]').waitFor();
  });
});
