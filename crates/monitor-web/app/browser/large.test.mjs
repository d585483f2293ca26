/** 100,000 processes in one tree. */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { hasText, onPage, useBrowser } from "./browser.mjs";
import { Tree, Worker } from "./events.mjs";

useBrowser();
const STAGES = 100;
const ITEMS = 999;

const tree = new Tree("large");
const stages = [];
const ROW = 28;
const TOTAL = STAGES * (ITEMS + 1) + 1;
let lastItem;
before(async () => {
  const worker = await new Worker().online();
  const events = [tree.own];
  for (let stage = 0; stage < STAGES; stage += 1) {
    const parent = tree.start(`stage ${stage}`, tree.id, stage * 100);
    stages.push(parent);
    events.push(parent);
    for (let item = 0; item < ITEMS; item += 1) {
      lastItem = tree.start(`item ${stage}.${item}`, parent.id, stage * 100 + item / 20);
      events.push(lastItem, tree.end(lastItem, 1));
    }
    events.push(tree.end(parent, 99));
  }
  events.push(tree.end(tree.own, STAGES * 100));
  await worker.sendAll(events);
});

function hasRowCount(page, count) {
  return page.waitForFunction((wanted) => document.querySelector(".tree .scroller")?.getAttribute("aria-rowcount") === String(wanted), count);
}

test("it opens, unfolds, scrolls to its end and folds again", () =>
  onPage(tree.address, async (page) => {
    await hasText(page.locator(".toolbar .dim").first(), `${TOTAL.toLocaleString("en")} processes`);
    await page.locator(`.node[data-process="${tree.id}"]`).waitFor();

    await page.getByRole("button", { name: "Expand all" }).click();
    await hasRowCount(page, TOTAL);
    const scroller = page.locator(".tree .scroller");
    for (const part of [0.25, 0.5, 0.75, 1]) {
      await scroller.evaluate((element, to) => element.scrollTo(0, element.scrollHeight * to), part);
      await page.waitForFunction(() => {
        const { top, bottom } = document.querySelector(".tree .scroller").getBoundingClientRect();
        const rows = [...document.querySelectorAll(".node")].map((row) => row.getBoundingClientRect());
        return rows.some((row) => row.top <= top + 40) && rows.some((row) => row.bottom >= bottom - 1);
      });
      assert.ok((await page.locator(".node").count()) < 200, "only the rows in sight exist");
    }
    await hasText(page.locator(`.node[data-process="${lastItem.id}"] .name`), `item ${STAGES - 1}.${ITEMS - 1}`);

    await page.getByRole("button", { name: "Collapse all" }).click();
    await hasText(page.locator(`.node[data-process="${stages[STAGES - 1].id}"] .name`), `stage ${STAGES - 1}`);
    await hasRowCount(page, STAGES + 1);
  }));

test("a process deep in it is a link", () =>
  onPage(`${tree.address}?process=${lastItem.id}`, async (page) => {
    await hasText(page.locator('.node[aria-selected="true"] .name'), `item ${STAGES - 1}.${ITEMS - 1}`);
  }));

/** Returns rows by position, with their distance from the header. */
const placed = (page) =>
  page.evaluate(() => {
    const top = document.querySelector(".tree-head").getBoundingClientRect().bottom;
    return Object.fromEntries([...document.querySelectorAll(".node")].map((row) => [row.getAttribute("aria-rowindex"), Math.round(row.getBoundingClientRect().top - top)]));
  });

/** The browser's limit is in device pixels, so on a high-resolution screen it is reached with fewer rows. */
test("rows beyond what browsers let an element be are reached by wheel, keys and scroll bar, to the pixel", () =>
  onPage(tree.address, scrollFar, { deviceScaleFactor: 4, viewport: { width: 800, height: 600 } }));

async function scrollFar(page) {
  await hasText(page.locator(".toolbar .dim").first(), `${TOTAL.toLocaleString("en")} processes`);
  await page.getByRole("button", { name: "Expand all" }).click();
  await hasRowCount(page, TOTAL);
  const scroller = page.locator(".tree .scroller");
  assert.ok((await scroller.evaluate((element) => element.scrollHeight)) < 2_100_000);
  assert.ok(TOTAL * ROW > (await scroller.evaluate((element) => element.scrollHeight)));

  // The bar's thumb, half way down.
  await scroller.evaluate((element) => element.scrollTo(0, (element.scrollHeight - element.clientHeight) / 2));
  const middle = Math.round(TOTAL / 2);
  await page.locator(`.node[aria-rowindex="${middle}"]`).waitFor();

  // Each turn of the wheel moves the rows by its exact distance.
  const box = await scroller.boundingBox();
  await page.mouse.move(box.x + 200, box.y + 200);
  for (const turns of [[100], [300], [-150], [37], [60, 60, 60, 60, 60], [-300]]) {
    const before = await placed(page);
    const row = Object.keys(before).find((index) => before[index] > 350 && before[index] < 450);
    for (const turn of turns) await page.mouse.wheel(0, turn);
    await page.waitForFunction(
      ([index, wanted]) => {
        const top = document.querySelector(".tree-head").getBoundingClientRect().bottom;
        return Math.round(document.querySelector(`.node[aria-rowindex="${index}"]`)?.getBoundingClientRect().top - top) === wanted;
      },
      [row, before[row] - turns.reduce((sum, turn) => sum + turn)],
    );
  }

  // Keys go from row to row, and to both ends.
  await page.locator(`.node[aria-rowindex="${middle}"]`).click();
  await page.keyboard.press("ArrowDown");
  await page.locator(`.node[aria-rowindex="${middle + 1}"][aria-selected="true"]`).waitFor();
  await page.keyboard.press("End");
  await hasText(page.locator('.node[aria-selected="true"] .name'), `item ${STAGES - 1}.${ITEMS - 1}`);
  await page.keyboard.press("ArrowUp");
  await hasText(page.locator('.node[aria-selected="true"] .name'), `item ${STAGES - 1}.${ITEMS - 2}`);
  await page.keyboard.press("Home");
  await hasText(page.locator('.node[aria-selected="true"] .name'), "large");
  assert.equal(await scroller.evaluate((element) => element.scrollTop), 0);
  await scroller.evaluate((element) => element.scrollTo(0, element.scrollHeight));
  await page.locator(`.node[aria-rowindex="${TOTAL}"]`).waitFor();
  const { bottom } = await page.locator(`.node[aria-rowindex="${TOTAL}"]`).evaluate((row) => row.getBoundingClientRect());
  assert.equal(Math.round(bottom), Math.round(box.y + box.height));
}

test("it is cut into lanes and folded there without a wait", () =>
  onPage(`${tree.address}?lanes=thread`, async (page) => {
    await hasText(page.locator(".toolbar .dim").first(), `${TOTAL.toLocaleString("en")} processes`);
    await hasRowCount(page, 2);
    await page.getByRole("button", { name: "Expand all" }).click();
    await hasRowCount(page, TOTAL + 1);
  }));
