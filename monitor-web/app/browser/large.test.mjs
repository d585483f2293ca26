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

test("it opens, unfolds, scrolls to its end and folds again", () =>
  onPage(tree.address, async (page) => {
    page.setDefaultTimeout(60_000);
    await hasText(page.locator(".toolbar .dim").first(), "100,001 processes");
    await page.locator(`.node[data-process="${tree.id}"]`).waitFor();

    await page.getByRole("button", { name: "Open all" }).click();
    await page.waitForFunction(() => document.querySelector(".tree .scroller")?.getAttribute("aria-rowcount") === "100001");
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

    await page.getByRole("button", { name: "Close all" }).click();
    await hasText(page.locator(`.node[data-process="${stages[STAGES - 1].id}"] .name`), `stage ${STAGES - 1}`);
    await page.waitForFunction(() => document.querySelector(".tree .scroller")?.getAttribute("aria-rowcount") === "101");
  }));

test("a process deep in it is a link", () =>
  onPage(`${tree.address}?process=${lastItem.id}`, async (page) => {
    page.setDefaultTimeout(60_000);
    await hasText(page.locator('.node[aria-selected="true"] .name'), `item ${STAGES - 1}.${ITEMS - 1}`);
  }));
