/** Automatic updates without events: running durations, with one timer per pace, and only as text changes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { onPage, useBrowser, useWorker } from "./browser.mjs";
import { newId, nowUs, server, Tree } from "./events.mjs";

useBrowser();
const unique = newId();
const worker = useWorker();
const ROWS = 31;
const YOUNG = 15;
const TICKS = 4;

/** Counts the intervals that a page has at a time, by how long they are. */
function countIntervals() {
  globalThis.intervals = new Map();
  const { setInterval: set, clearInterval: clear } = globalThis;
  globalThis.setInterval = (call, ms, ...rest) => {
    const id = set(call, ms, ...rest);
    globalThis.intervals.set(id, ms);
    return id;
  };
  globalThis.clearInterval = (id) => {
    globalThis.intervals.delete(id);
    clear(id);
  };
}

test("31 rows that run tick by one interval for each pace, which changes text and nothing else", async () => {
  const trees = Array.from({ length: ROWS }, (_, index) => {
    const tree = new Tree(`ticking ${unique} ${index}`);
    // Recent runs are updated four times a second, the others once.
    tree.own.time_us = nowUs() - (index < YOUNG ? 0 : 600e6);
    return tree;
  });
  await worker.send(...trees.map(({ own }) => own));
  await onPage(
    "about:blank",
    async (page) => {
      await page.addInitScript(countIntervals);
      await page.goto(`${server}/tasks?q=ticking+${unique}`);
      await page.locator('.connection[data-connection="live"]').waitFor();
      // All rows are drawn, including data that is read when the browser is idle.
      await page.waitForFunction((count) => document.querySelectorAll(".root[data-root] .last-runs .last").length === count, ROWS);
      await page.waitForFunction(() => document.fonts.status === "loaded");
      await page.evaluate(() => new Promise(requestIdleCallback));
      await page.evaluate(() => {
        globalThis.ticks = new Map();
        globalThis.others = [];
        new MutationObserver((records) => {
          for (const { type, target, attributeName } of records) {
            const duration = target.parentElement?.closest(".duration");
            if (type !== "characterData") globalThis.others.push(`${type} ${attributeName ?? ""} of ${target.outerHTML?.slice(0, 120)}`);
            else if (duration) globalThis.ticks.set(duration, (globalThis.ticks.get(duration) ?? 0) + 1);
          }
        }).observe(document.querySelector(".list .canvas"), { subtree: true, attributes: true, childList: true, characterData: true });
      });
      await page.waitForFunction(([rows, ticks]) => globalThis.ticks.size === rows && [...globalThis.ticks.values()].every((count) => count >= ticks), [ROWS, TICKS]);
      assert.deepEqual(await page.evaluate(() => globalThis.others), []);
      // Timers of at most one second; repeated requests to the server are slower.
      const paces = await page.evaluate(() => [...globalThis.intervals.values()].filter((ms) => ms <= 1000));
      assert.ok(paces.length > 0 && paces.length === new Set(paces).size && paces.length <= 2, `intervals of ${paces} ms`);
    },
    { viewport: { width: 1440, height: 1600 } },
  );
  await worker.send(...trees.map((tree) => tree.end(tree.own, 5)));
});
