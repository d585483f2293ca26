/** Scroll position in a list that is longer than the loaded part. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hasAddress, onPage, row, useBrowser, useWorker } from "./browser.mjs";
import { history, newId, server } from "./events.mjs";

useBrowser();
const unique = newId();
const worker = useWorker();
const COUNT = 450;
/** Several pages of 100 rows down. */
const FAR = 145;

/** Distance of the row `FAR` from the top of the list's rows, because the area above the list may change its height. */
const placeOf = (page, trees) =>
  page.evaluate((id) => {
    const top = (selector) => document.querySelector(selector)?.getBoundingClientRect().top;
    return top(`[data-root="${id}"]`) - top(".list .scroller");
  }, trees[FAR].rootId);

/** Scrolls page by page to the end, then to some rows above the row `FAR`; returns that row's position. */
async function scrollFar(page, trees) {
  await row(page, trees[COUNT - 1]).waitFor();
  await page.waitForFunction((id) => {
    const list = document.querySelector(".list .scroller");
    list.scrollTo(0, list.scrollHeight);
    return document.querySelector(`[data-root="${id}"]`) !== null;
  }, trees[0].rootId);
  await page.locator(".list .scroller").evaluate((element) => element.scrollTo(0, 300 * 32 + 10));
  await row(page, trees[FAR + 4]).waitFor();
  return placeOf(page, trees);
}

/** Waits until the row `FAR` is at its earlier position. */
async function isThere(page, trees, wanted) {
  await row(page, trees[FAR]).waitFor();
  let found;
  const deadline = Date.now() + 30_000;
  do {
    found = await placeOf(page, trees);
    if (Math.abs(found - wanted) < 1) return;
    await page.waitForFunction(() => new Promise(requestAnimationFrame));
  } while (Date.now() < deadline);
  assert.equal(found, wanted);
}

test("a reload finds the place in the list again, also far below the first page", async () => {
  const trees = await history(worker, `placed ${unique}`, COUNT);
  await onPage(`${server}/tasks?name=placed+${unique}`, async (page) => {
    const before = await scrollFar(page, trees);
    await page.reload();
    await isThere(page, trees, before);
  });
});

test("Back and the way back on a run's page find the place again, several pages down, with the filters", async () => {
  const trees = await history(worker, `left ${unique}`, COUNT);
  await onPage(`${server}/tasks?name=left+${unique}&state=succeeded`, async (page) => {
    const before = await scrollFar(page, trees);
    const ways = {
      "the browser's Back": () => page.goBack(),
      "the arrow in the head": () => page.getByRole("link", { name: "All runs", exact: true }).click(),
      // After a reload, only stored data can contain the position.
      "the arrow after a reload": async () => {
        await page.reload();
        await page.getByRole("link", { name: "All runs", exact: true }).click();
      },
    };
    for (const go of Object.values(ways)) {
      await row(page, trees[FAR]).locator(".title").click();
      await hasAddress(page, new RegExp(`/tasks/${trees[FAR].rootId}$`));
      await page.locator(".root-header").waitFor();
      await go();
      await hasAddress(page, /state=succeeded/);
      await isThere(page, trees, before);
    }
    assert.match(page.url(), new RegExp(`name=left\\+${unique}`));
  });
});
