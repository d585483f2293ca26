/** A printed run: all expanded rows, in light colours, without controls. */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { hasText, onPage, useBrowser, useWorker } from "./browser.mjs";
import { newId, Tree } from "./events.mjs";
import { useReports } from "./report.mjs";

useBrowser();
const worker = useWorker();
const saved = useReports();
/** The height of A4 and of a row, in px. */
const [PAGE, ROW] = [794, 28];
let long;
let longest;

/** A run with a number of steps. The last one failed. */
async function run(steps) {
  const tree = new Tree(`on paper ${newId()}`);
  const all = Array.from({ length: steps }, (_, at) => tree.start(`step ${at}`, tree.id, at));
  const last = all[steps - 1];
  const failed = [tree.log(last.id, steps, "error", "the disk is full"), tree.end(last, 5, { message: "no space left on device" })];
  await worker.sendAll([tree.own, ...all, ...all.slice(0, -1).map((step) => tree.end(step, 2)), ...failed, tree.end(tree.own, steps + 9, { message: "a step failed" })]);
  return tree;
}

before(async () => {
  [long, longest] = [await run(300), await run(5_200)];
});

const nodes = (page) => page.locator(".node").count();
const hasRows = (page, expected) => page.waitForFunction((rows) => document.querySelectorAll(".node").length === rows, expected);
const pages = (pdf) => pdf.toString("latin1").match(/\/Type \/Page\b/g).length;
const print = (page) => page.pdf({ format: "A4", preferCSSPageSize: true });

for (const where of ["page", "file"]) {
  test(`all rows of a ${where} are printed, light, and the screen is as before`, async () => {
    const address = where === "page" ? long.address : await saved(long.rootId);
    await onPage(
      address,
      async (page) => {
        await page.locator(".panel .failure").waitFor();
        const scroller = page.locator(".tree .scroller");
        // The failed step, which is the last, is scrolled into view.
        await page.locator('.node[aria-selected="true"]').waitFor();
        await page.waitForFunction(() => document.querySelector(".tree .scroller").scrollTop > 0);
        const before = await scroller.evaluate((element) => element.scrollTop);
        assert.ok(before > 0 && (await nodes(page)) < 100);
        const pdf = await print(page);
        const fewest = Math.floor((301 * ROW) / PAGE);
        assert.ok(pages(pdf) >= fewest && pages(pdf) < 3 * fewest, `${pages(pdf)} pages`);
        await page.waitForFunction(() => document.querySelectorAll(".node").length < 100);
        await page.waitForFunction((top) => document.querySelector(".tree .scroller").scrollTop === top, before);

        await page.emulateMedia({ media: "print", colorScheme: "dark" });
        await hasRows(page, 301);
        const shown = await page.evaluate(() => {
          const rows = [...document.querySelectorAll(".node")].map((row) => row.getBoundingClientRect().top);
          const hidden = [".toolbar", ".tabs", ".rail", ".menu", ".copy", ".close", ".sticky", ".about-file .buttons"];
          const shownOf = (selector) => [...document.querySelectorAll(selector)].some((element) => element.checkVisibility());
          return {
            ascends: rows.every((top, at) => at === 0 || top > rows[at - 1]),
            ground: getComputedStyle(document.body).backgroundColor,
            clickable: hidden.filter(shownOf),
            panelFirst: document.querySelector(".panel").getBoundingClientRect().bottom <= document.querySelector(".tree").getBoundingClientRect().top,
          };
        });
        assert.deepEqual(shown, { ascends: true, ground: "rgb(255, 255, 255)", clickable: [], panelFirst: true });
        assert.equal(await page.locator(".not-printed").count(), 0);
        await page.emulateMedia({ media: null });
        await page.waitForFunction(() => document.querySelectorAll(".node").length < 100);
      },
      { colorScheme: "dark" },
    );
  });
}

/** Chromium may say so between `beforeprint` and the printing. */
test("all rows are printed if the browser says too early that it does not print", async () => {
  await onPage(long.address, async (page) => {
    await page.addInitScript(() => {
      const find = matchMedia;
      window.matchMedia = (text) => {
        const query = find(text);
        if (text === "print") window.ofPrinting = query;
        return query;
      };
    });
    await page.reload();
    await page.locator(".panel .failure").waitFor();
    await page.evaluate(() => addEventListener("beforeprint", () => window.ofPrinting.dispatchEvent(new Event("change"))));
    assert.ok(pages(await print(page)) >= Math.floor((301 * ROW) / PAGE));
    await page.waitForFunction(() => document.querySelectorAll(".node").length < 100);
  });
});

for (const [locale, words] of [
  ["en-US", "201 more rows are not printed: at most 5,000 rows are printed. Collapse processes or use the filter to print fewer rows."],
  ["zh-CN", "另有 201 行未打印：最多打印 5,000 行。请先折叠过程或筛选，再打印。"],
]) {
  test(`rows that are left out are counted, ${locale}`, async () => {
    await onPage(
      await saved(longest.rootId),
      async (page) => {
        await page.locator(".panel .failure").waitFor();
        await page.emulateMedia({ media: "print" });
        await hasRows(page, 5_000);
        await hasText(page.locator(".not-printed"), words);
        await page.emulateMedia({ media: null });
        await page.locator(".not-printed").waitFor({ state: "detached" });
      },
      { locale },
    );
  });
}

test("lines of a log are printed in full", async () => {
  const tree = new Tree(`said ${newId()}`);
  const said = Array.from({ length: 400 }, (_, at) => tree.log(tree.id, at, "info", at === 399 ? `end ${"of a long line ".repeat(40)}` : `line ${at}`));
  const step = tree.start("step", tree.id, 1);
  await worker.sendAll([tree.own, step, ...said, tree.end(step, 5), tree.end(tree.own, 500)]);
  await onPage(`${await saved(tree.rootId)}#/tasks/${tree.rootId}?tab=logs&process=${tree.id}`, async (page) => {
    for (const list of [".split > .logs .log", ".panel .own-logs .log"]) await page.locator(list).first().waitFor();
    await page.emulateMedia({ media: "print" });
    await page.waitForFunction(() => document.querySelectorAll(".split > .logs .log").length === 400);
    const heights = await page.locator(".split > .logs .log").evaluateAll((lines) => lines.map((line) => line.getBoundingClientRect().height));
    assert.ok(heights[399] > 2 * heights[0], "it is wrapped");
    const overlaps = await page.evaluate(() => [...document.querySelectorAll(".panel .own-logs")].some((logs) => [...logs.querySelectorAll(".log")].at(-1).getBoundingClientRect().bottom > logs.getBoundingClientRect().bottom));
    assert.ok(!overlaps, "those of the panel have room, too");
    assert.ok(pages(await print(page)) > 5);
  });
});
