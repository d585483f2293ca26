/** Large and unusual data does not break a screen or hide neighbouring elements. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hasText, onPage, useBrowser, useWorker } from "./browser.mjs";
import { newId, server, Tree } from "./events.mjs";

useBrowser();
const unique = newId();
const worker = useWorker();

/** Checks that neither the page nor its main part is wider than the window. */
const fits = async (page) => {
  const { page: wide, shown } = await page.evaluate(() => ({ page: document.documentElement.scrollWidth, shown: innerWidth }));
  assert.ok(wide <= shown, `${wide} px of ${shown}`);
};

const phone = { viewport: { width: 360, height: 740 } };

test("names of 10,000 characters, right to left, of signs and of joined signs", async () => {
  // The server truncates long names, so the searched text is at the beginning.
  const tree = new Tree(`${unique} ${"x".repeat(10_000)}`);
  const names = ["مهمة ليلية \u202e كبيرة", "👩‍👩‍👧‍👦🏳️‍🌈".repeat(50), "a\u0301".repeat(3000), "很长的名字".repeat(400)];
  const steps = names.map((name, index) => tree.start(name, tree.id, 10 + index, { thread: name, fields: { [name]: name } }));
  const error = { message: names.join("\n").repeat(3), chain: [names[0]] };
  await worker.send(tree.own, ...steps, ...steps.map((step) => tree.end(step, 5, error)), tree.end(tree.own, 50, error));
  for (const options of [{}, phone]) {
    await onPage(`${server}/tasks?q=${unique}`, async (page) => {
      await page.locator(".root[data-root] .why").waitFor();
      await fits(page);
    }, options);
    for (const tab of ["tree", "timeline&lanes=thread", "logs", "compare"]) {
      await onPage(`${tree.address}?tab=${tab}&process=${steps[1].id}`, async (page) => {
        await page.locator(".panel .failure").waitFor();
        await fits(page);
        const close = await page.locator(".panel .close").boundingBox();
        assert.ok(close && close.x + close.width <= (options.viewport?.width ?? 1440), "the panel can be closed");
      }, options);
    }
  }
  await onPage(`${server}/tasks/statistics?range=1h`, async (page) => {
    await page.locator(".by-name tbody tr").first().waitFor();
    await fits(page);
  });
});

test("a process that has ended without a start has never started", async () => {
  const tree = new Tree(`unstarted ${unique}`);
  const { attachment: _, source: __, thread: ___, ...queued } = tree.own;
  for (const [events, expected] of [[[{ ...queued, type: "process-queued" }], /Started\s*not yet/], [[tree.end(tree.own, 50)], /Started\s*never/]]) {
    await worker.sendAll(events);
    await onPage(`${tree.address}?process=${tree.id}`, (page) => hasText(page.locator(".panel"), expected));
  }
});

test("what was cut is shown as cut, not as what it said", async () => {
  const long = "é".repeat(40_000);
  const tree = new Tree(`cut ${unique} ${long}`);
  const step = tree.start("step", tree.id, 10, { fields: { a: "1", b: long.repeat(2) } });
  const error = { message: `message ${long}`, chain: [`cause ${long}`, "never told"] };
  const said = tree.log(step.id, 12, "info", `said ${long}`);
  await worker.send(tree.own, step, said, tree.end(step, 5, error), tree.end(tree.own, 50));
  await onPage(`${server}/tasks?q=cut+${unique}`, async (page) => {
    await hasText(page.locator(".root[data-root] .mark.cut"), /^[\d,]+ bytes cut$/);
    await fits(page);
  });
  for (const options of [{}, phone]) {
    await onPage(`${tree.address}?process=${step.id}`, async (page) => {
      await hasText(page.locator(".panel .message .mark.cut"), /^[\d,]+ bytes cut$/);
      await hasText(page.locator(".panel"), /1 further cause was left out/);
      await hasText(page.locator(".panel"), /1 field was left out/);
      await hasText(page.locator(".panel .log .message"), /…⌇$/);
      assert.doesNotMatch(await page.locator("body").innerText(), /\[\d+ (bytes cut|more causes)\]|monitor\.cut/);
      await fits(page);
    }, options);
  }
});

test("200 levels, with the last one selected", async () => {
  const tree = new Tree("two hundred deep");
  const chain = [tree.own];
  for (let depth = 1; depth <= 200; depth += 1) chain.push(tree.start(`level ${depth}`, chain[depth - 1].id, depth));
  await worker.send(...chain);
  for (const options of [{}, phone]) {
    await onPage(`${tree.address}?process=${chain[200].id}`, async (page) => {
      await hasText(page.locator('.node[aria-selected="true"] .name'), "level 200");
      await fits(page);
      await page.locator('.node[aria-selected="true"]').waitFor({ state: "visible" });
    }, options);
  }
});

test("a clock in 1970, and a root whose start never came", async () => {
  const old = new Tree(`old ${unique}`);
  old.startUs = 5_000_000;
  old.own = { ...old.own, time_us: old.startUs };
  const step = old.start("step", old.id, 10);
  await worker.send(old.own, step, old.end(step, 5), old.end(old.own, 100));
  const headless = new Tree(`headless ${unique}`);
  await worker.send(headless.end(headless.own, 10, { message: "an end alone" }));
  await onPage(`${server}/tasks/${old.rootId}?process=${old.id}`, async (page) => {
    await hasText(page.locator(".panel .oddity"), /^clock It started before the year 2000/);
    await page.getByRole("button", { name: "Timeline" }).click();
    await page.locator(".stage canvas[data-window]").waitFor();
  });
  await onPage(`${headless.address}?process=${headless.id}`, async (page) => {
    await hasText(page.locator(".one .message"), "an end alone");
    for (const tab of ["Timeline", "Logs", "Compare"]) await page.getByRole("button", { name: tab, exact: true }).click();
    await fits(page);
  });
});

test("an answer that is no tree says so where the tree would be", async () => {
  const tree = new Tree("garbled");
  const many = Array.from({ length: 400 }, (_, index) => tree.start(`step ${index}`, tree.id, index));
  await worker.send(tree.own, ...many);
  await onPage("about:blank", async (page, context) => {
    // The page also tries by itself. Only the button leads to a real answer.
    await context.addInitScript(() => addEventListener("click", () => (window.isClicked = true), true));
    await context.route("**/tree", async (route) => {
      if (await page.evaluate(() => window.isClicked)) await route.continue();
      else await route.fulfill({ contentType: "application/vnd.process-monitor.tree", body: "PMTREE99 and more" });
    });
    await page.goto(tree.address);
    await hasText(page.locator(".notice .detail"), /a tree of another kind/);
    await page.locator(".node").first().waitFor();
    await page.getByRole("button", { name: "Try again" }).click();
    await hasText(page.locator(".toolbar .size"), "401 processes");
  });
});
