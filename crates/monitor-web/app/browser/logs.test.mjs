/** Log lines of processes, live. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hasAddress, hasText, onPage, useBrowser, useWorker } from "./browser.mjs";
import { server, Tree } from "./events.mjs";

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
    const line = (text) => page.locator(".one > .logs .log").filter({ hasText: text });
    await hasText(line("no such table").locator(".level"), "error");
    await hasText(line("no such table").locator(".message"), "no such table  status=500");
    const height = async () => (await line("a long line").boundingBox()).height;
    assert.equal(await height(), 24);
    await page.locator(".one > .logs").getByRole("button", { name: "Wrap" }).click();
    await page.waitForFunction(() => document.querySelector(".one > .logs .log").getBoundingClientRect().height > 40);
    assert.match(await line("File x").locator(".message").innerText(), /File x\n {4}run\(\)/);
    // The choice is kept.
    await page.reload();
    await page.locator('.one > .logs [data-wraps="true"]').waitFor();
  });
});

const ESC = "\u001b";

test("terminal colours are shown in colours that can be read, and everything else is plain text", async () => {
  const tree = new Tree("coloured");
  const message = `${ESC}[1;31merror${ESC}[0m: ${ESC}]0;title\u0007${ESC}[38;5;226mbright${ESC}[K yellow${ESC}[m end`;
  const log = (text, stream, number) => tree.log(tree.id, 10 + number, "info", text, { stream });
  await worker.send(tree.own, log(message, "stderr", 1), log("plain", "stdout", 2), tree.end(tree.own, 50, { kind: "exit", message: `${ESC}[31mboom${ESC}[0m`, code: 3, tail: `${ESC}[1mtail${ESC}[0m` }));
  const seen = {};
  for (const colorScheme of ["light", "dark"]) {
    await onPage(
      `${tree.address}?tab=logs`,
      async (page, context) => {
        await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: new URL(server).origin });
        await hasText(page.locator(".log .message").first(), "error: bright yellow end");
        seen[colorScheme] = await page.locator(".log .message span").evaluateAll((spans) => spans.map((span) => [span.textContent, getComputedStyle(span).color, getComputedStyle(span).fontWeight]));
        // The stream is a mark with a word, and not only a colour.
        await hasText(page.locator(".log").first().locator(".stream"), "stderr");
        assert.equal(await page.locator(".log").first().locator(".stream svg").count(), 1);
        assert.equal(await page.locator(".log").nth(1).locator(".stream").textContent(), "");
        await hasText(page.locator(".failure .message"), /^boom/);
        await page.locator(".log").first().click();
        await page.locator(".opened").getByRole("button", { name: "Copy" }).click();
        await page.locator(".opened").getByRole("button", { name: "Copied" }).waitFor();
        assert.equal(await page.evaluate(() => navigator.clipboard.readText()), "error: bright yellow end");
        assert.ok(!/U\+001B/.test(await page.locator("body").innerText()), "no escape code is left");
      },
      { colorScheme },
    );
  }
  for (const of of [seen.light, seen.dark]) assert.deepEqual(of.map(([text, , weight]) => [text, weight]), [["error", "700"], ["bright yellow", "400"]]);
  assert.notEqual(seen.light[1][1], seen.dark[1][1], "yellow is darker on a light ground");
});

test("the first error is one click away, also if it is not loaded, and in output it is the line of the reason", async () => {
  const tree = new Tree("errors");
  const step = tree.start("step", tree.id, 5);
  const line = (number) => tree.log(step.id, 10 + number, number === 40 || number === 1500 ? "error" : number === 20 ? "odd" : "info", `line ${number}`);
  await worker.send(tree.own, step, ...Array.from({ length: 2000 }, (_, number) => line(number)));
  await onPage(`${tree.address}?tab=logs`, async (page) => {
    await hasText(last(page), "line 1999");
    await page.getByRole("button", { name: "First error" }).click();
    await hasText(page.locator('.log[aria-expanded="true"] .message'), "line 40");
    await page.locator(".follow").waitFor();
    const [row, box] = [await page.locator('.log[aria-expanded="true"]').boundingBox(), await page.locator(".log-lines").boundingBox()];
    assert.ok(row.y >= box.y && row.y + row.height <= box.y + box.height, "the line is in sight");
    // The filter holds for the jump as well.
    await page.locator(".logs-bar input").fill("line 15");
    await page.waitForFunction(() => [...document.querySelectorAll(".log .message")].every((each) => /^line 15/.test(each.textContent)));
    await page.getByRole("button", { name: "First error" }).click();
    await hasText(page.locator('.log[aria-expanded="true"] .message'), "line 1500");
    await page.locator(".logs-bar input").fill("line 30");
    await hasText(last(page), "line 309");
    await page.getByRole("button", { name: "First error" }).click();
    await hasText(page.locator('.logs-bar [role="status"]'), "No error in this log.");
  });
  const make = new Tree("make", { kind: "script" });
  const output = Array.from({ length: 900 }, (_, number) => make.log(make.id, 10 + number, "info", number === 100 ? "cc: no such file" : `line ${number}`, { stream: "stdout" }));
  await worker.send(make.own, ...output, make.end(make.own, 5000, { kind: "exit", message: "cc: no such file", code: 1, tail: "line 899" }));
  await onPage(make.address, async (page) => {
    await hasText(last(page), "line 899");
    await page.getByRole("button", { name: "First error" }).click();
    await hasText(page.locator('.log[aria-expanded="true"] .message'), "cc: no such file");
  });
});

test("a run with one process shows its reason once, its log in full width, and its details on request", async () => {
  const make = new Tree("make alone", { kind: "script", fields: { command: "make all" } });
  const failure = { kind: "exit", message: "the only reason", code: 2, tail: "the last output" };
  await worker.send(make.own, make.log(make.id, 10, "info", "the last output", { stream: "stdout" }), make.end(make.own, 50, failure));
  const times = async (page, text) => (await page.locator("main").innerText()).split(text).length - 1;
  for (const viewport of [{ width: 1440, height: 820 }, { width: 390, height: 844 }]) {
    await onPage(
      make.address,
      async (page) => {
        await hasText(last(page), "the last output");
        assert.equal(await times(page, "the only reason"), 1);
        assert.equal(await times(page, "the last output"), 1);
        for (const absent of [".toolbar", ".node", ".panel"]) assert.equal(await page.locator(absent).count(), 0, absent);
        const [log, split] = [await page.locator(".log-lines").boundingBox(), await page.locator(".split").boundingBox()];
        assert.ok(log.width >= split.width - 40, `${log.width} of ${split.width}`);
        await page.getByRole("button", { name: "Details" }).click();
        await hasText(page.locator(".panel"), /make all/);
        assert.equal(await times(page, "the only reason"), 1);
        assert.equal(await times(page, "the last output"), 1);
        await page.keyboard.press("Escape");
        await page.locator(".panel").waitFor({ state: "detached" });
      },
      { viewport },
    );
  }
  // Without a log, the end of the output is shown with the reason, and the details beside it.
  const silent = new Tree("make silent", { kind: "script", fields: { command: "make all" } });
  await worker.send(silent.own, silent.end(silent.own, 50, failure));
  await onPage(silent.address, async (page) => {
    await hasText(page.locator(".one .tail"), "the last output");
    await hasText(page.locator(".panel"), /make all/);
    assert.equal(await times(page, "the only reason"), 1);
    // With a second process it is a tree.
    const step = silent.start("step", silent.id, 5);
    await worker.send(step);
    await hasText(page.locator(`.node[data-process="${step.id}"] .name`), "step");
    await page.locator(".toolbar").waitFor();
  });
});
