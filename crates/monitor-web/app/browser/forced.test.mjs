/** System settings for forced colours and reduced motion. */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { hasText, onPage, useBrowser } from "./browser.mjs";
import { newId, server, Tree, Worker } from "./events.mjs";

useBrowser();
const unique = newId();
const tree = new Tree(`forced ${unique}`);
const step = tree.start("step", tree.id, 10);
before(async () => {
  const worker = await new Worker().online();
  await worker.send(tree.own, step, tree.end(step, 5, { message: "no" }));
});

const ground = (locator) => locator.first().evaluate((element) => getComputedStyle(element).backgroundColor);

test("with forced colours bars are still there, and what is chosen stands out", () =>
  onPage(
    `${tree.address}?process=${step.id}`,
    async (page) => {
      const canvas = await ground(page.locator("body"));
      await page.locator('.node[data-state="failed"]').waitFor();
      assert.notEqual(await ground(page.locator('.node[data-state="failed"] .bar')), canvas);
      const outline = (of) => of.evaluate((element) => getComputedStyle(element).outlineStyle);
      assert.equal(await outline(page.locator('.node[aria-selected="true"]')), "solid");
      assert.equal(await outline(page.locator('.node[aria-selected="false"]').first()), "none");
      assert.equal(await outline(page.locator('.tabs [aria-current="page"]')), "solid");
      await page.goto(`${server}/tasks?by=name&q=${unique}`);
      await page.locator(".strip a").first().waitFor();
      assert.notEqual(await ground(page.locator(".strip a > span")), canvas);
      await hasText(page.locator(".connection"), "live");
      assert.notEqual(await ground(page.locator(".connection .dot")), canvas);
    },
    { forcedColors: "active" },
  ));

test("nothing moves for those who want that", async () => {
  const moves = (page) => page.waitForFunction(() => document.querySelector('.root-header[data-state="running"] .glyph') && true).then(() => page.evaluate(() => document.getAnimations().length));
  await onPage(tree.address, async (page) => assert.ok((await moves(page)) > 0));
  await onPage(tree.address, async (page) => assert.equal(await moves(page), 0), { reducedMotion: "reduce" });
});
