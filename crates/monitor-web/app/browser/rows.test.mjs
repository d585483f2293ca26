/** Rows of a tree: folds, groups, summaries of descendants, matches, and sticky ancestors. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hasAddress, hasText, onPage as open, useBrowser, useWorker } from "./browser.mjs";
import { Tree } from "./events.mjs";

useBrowser();
const worker = useWorker();

/** High enough for all rows of a crowd. */
const onPage = (address, test) => open(address, test, { viewport: { width: 1440, height: 2000 } });
const node = (page, process) => page.locator(`.node[data-process="${process.id}"]`);
const names = (page) => page.locator(".node .name").allTextContents();

test("a fold tells how many it stands for, what failed and how long they took", async () => {
  const tree = new Tree("folding");
  const fold = tree.fold("load_row", tree.id, { count: 1240, failed: 3, durations: [[400, 1100], [546, 137], [560, 3]] });
  await worker.send(tree.own, fold, tree.end(tree.own, 5000));
  await onPage(`${tree.address}?process=${fold.id}`, async (page) => {
    await hasText(node(page, fold).locator(".times"), /^×1,24033 failedp95 2\.0 s$/);
    await hasText(page.locator(".panel dl").first(), "Count1,240failed3");
    await hasText(page.locator(".panel dl").nth(1), /^p506\.\d ms.*p952\.0 s.*p992\.0 s/);
    await page.locator('.panel .histogram svg[role="img"]').waitFor();
  });
});

function crowd() {
  const tree = new Tree("crowd");
  const parent = tree.start("parent", tree.id, 5);
  const rows = Array.from({ length: 50 }, (_, index) => tree.start("row", parent.id, 10 + index));
  const deep = tree.start("deep", rows[7].id, 20);
  const events = [
    tree.own,
    parent,
    ...rows.flatMap((row, index) => [row, tree.end(row, index + 1, index === 20 ? { message: "row 20 is bad" } : undefined)]),
    deep,
    tree.end(deep, 1, { message: "deep trouble" }),
  ];
  return { tree, parent, rows, deep, events };
}

test("a closed process tells what goes on below it", async () => {
  const { tree, parent, rows, events } = crowd();
  const running = tree.start("running", parent.id, 100);
  await worker.send(...events, running);
  await onPage(tree.address, async (page) => {
    await node(page, rows[0]).waitFor();
    await node(page, tree.own).locator(".twist").click();
    await hasText(node(page, tree.own).locator(".below"), /^22 failed22 running53$/);
    await worker.send(tree.end(running, 5, { message: "it too" }), tree.end(parent, 500));
    await hasText(node(page, tree.own).locator(".below"), /^33 failed53$/);
    await page.getByRole("button", { name: "Expand to level 1" }).click();
    await hasText(node(page, parent).locator(".below"), /^33 failed52$/);
    await node(page, parent).locator(".twist").click();
    await node(page, rows[0]).waitFor();
    assert.equal(await node(page, parent).locator(".below").count(), 0);
  });
});

test("like siblings share a row on demand, the failed ones stay in sight", async () => {
  const { tree, rows, events } = crowd();
  await worker.send(...events);
  await onPage(tree.address, async (page) => {
    await node(page, rows[0]).waitFor();
    await page.getByRole("button", { name: "Group similar" }).click();
    await hasAddress(page, /group=1/);
    await node(page, rows[0]).waitFor({ state: "detached" });
    assert.deepEqual(await names(page), ["crowd", "parent", "row", "row", "deep", "row"]);
    const group = page.locator(`#row-\\~${rows[0].id}`);
    await hasText(group.locator(".times"), /^×48p95 4[78]\.\d ms$/);
    await group.click();
    await hasText(page.locator(".panel-head .number"), "×48");
    await page.keyboard.press("ArrowRight");
    await node(page, rows[0]).waitFor();
    assert.equal(await node(page, rows[0]).getAttribute("aria-level"), "4");
    await page.keyboard.press("ArrowDown");
    await hasAddress(page, new RegExp(`process=${rows[0].id}`));
    await page.keyboard.press("ArrowLeft");
    await page.keyboard.press("ArrowLeft");
    await node(page, rows[0]).waitFor({ state: "detached" });
    await page.reload();
    await group.waitFor();
  });
});

test("a filter keeps what stands above, stands in the address, and Esc clears it", async () => {
  const { tree, parent, rows, deep, events } = crowd();
  await worker.send(...events);
  await onPage(tree.address, async (page) => {
    await node(page, rows[0]).waitFor();
    await page.keyboard.press("/");
    await page.keyboard.type("TROUBLE");
    await hasText(page.locator(".toolbar .size"), "1 of 53 found");
    assert.deepEqual(await names(page), ["crowd", "parent", "row", "deep"]);
    assert.equal(await node(page, parent).getAttribute("data-faint"), "true");
    assert.equal(await node(page, deep).getAttribute("data-faint"), null);
    await page.reload();
    await hasText(page.locator(".toolbar .size"), "1 of 53 found");

    const late = tree.start("late trouble", parent.id, 300);
    await worker.send(late, tree.end(late, 1));
    await node(page, late).waitFor();
    await page.keyboard.press("/");
    await page.keyboard.press("Escape");
    await hasAddress(page, /^(?!.*filter)/);
    await hasText(page.locator(".toolbar .size"), "54 processes");
    await page.keyboard.press("/");
    await page.keyboard.type("no such thing");
    await hasText(page.locator(".tree .notice"), "No process has this text in its name or error.");
  });
});

test("what the first rows hang below stays in sight", async () => {
  const tree = new Tree("sticky");
  const outer = tree.start("outer", tree.id, 1);
  const inner = tree.start("inner", outer.id, 2);
  const many = Array.from({ length: 200 }, (_, index) => tree.start(`item ${index}`, inner.id, 3 + index));
  await worker.send(tree.own, outer, inner, ...many);
  await open(`${tree.address}?process=${many[150].id}`, async (page) => {
    await node(page, many[150]).waitFor();
    const stuck = page.locator(".stuck .name");
    await stuck.nth(2).waitFor();
    assert.deepEqual(await stuck.allTextContents(), ["sticky", "outer", "inner"]);
    // The selected row is not hidden behind sticky rows.
    for (let step = 0; step < 30; step += 1) await page.keyboard.press("ArrowUp");
    await hasText(page.locator(".panel h2"), "item 120");
    const below = await page.locator(".stuck").last().boundingBox();
    const row = await node(page, many[120]).boundingBox();
    assert.ok(below && row && row.y >= below.y + below.height - 1, JSON.stringify({ below, row }));
    await stuck.nth(1).click();
    await hasText(page.locator(".panel h2"), "outer");
    await node(page, outer).waitFor({ state: "visible" });
  });
});

test("digits open to a level, and rows say where they stand", async () => {
  const { tree, parent, rows, deep, events } = crowd();
  await worker.send(...events);
  await onPage(`${tree.address}?process=${tree.id}`, async (page) => {
    await node(page, rows[0]).waitFor();
    await page.keyboard.press("1");
    await node(page, rows[0]).waitFor({ state: "detached" });
    await node(page, parent).waitFor();
    await page.keyboard.press("2");
    await node(page, rows[0]).waitFor();
    await node(page, deep).waitFor({ state: "detached" });
    const place = (process, name) => node(page, process).getAttribute(name);
    assert.deepEqual([await place(rows[3], "aria-level"), await place(rows[3], "aria-posinset"), await place(rows[3], "aria-setsize")], ["3", "4", "50"]);
  });
});
