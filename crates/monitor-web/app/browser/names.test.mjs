/** Names in lists and trees: cut, found, copied, and in scripts that run from right to left. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hasText, onPage, row, useBrowser, useWorker } from "./browser.mjs";
import { newId, server, Tree } from "./events.mjs";

useBrowser();
const worker = useWorker();
const unique = newId();

/** Returns for a `.name`: its number of text nodes, whether it is cut, and whether its first character is at its left end. */
const looked = (name) =>
  name.evaluate((element) => {
    const range = document.createRange();
    const text = element.firstChild;
    const leftOf = (from, to) => (range.setStart(text, from), range.setEnd(text, to), range.getBoundingClientRect().left);
    return {
      nodes: element.childNodes.length,
      isCut: element.scrollWidth > element.clientWidth,
      startsLeft: leftOf(0, 1) < leftOf(text.data.length - 1, text.data.length),
    };
  });

/** Selects all of an element and returns the text that would be copied. */
const copied = (locator) =>
  locator.evaluate((element) => {
    getSelection().selectAllChildren(element);
    return getSelection().toString();
  });

test("a name is one text: it is found and copied whole, also where it is cut", async () => {
  const name = `nightly ${"import ".repeat(40)}of ${unique}`;
  const tree = new Tree(name, { batch: "7" });
  const step = tree.start(`step ${name}`, tree.id, 5);
  await worker.send(tree.own, step, tree.end(step, 5), tree.end(tree.own, 10));
  for (const [address, ofRow] of [[`${server}/tasks?q=${unique}`, (page) => row(page, tree).locator(".title")], [tree.address, (page) => page.locator(`.node[data-process="${step.id}"]`)]]) {
    await onPage(address, async (page) => {
      const shown = ofRow(page).locator(".name");
      await shown.waitFor();
      assert.deepEqual(await looked(shown), { nodes: 1, isCut: true, startsLeft: true });
      assert.equal(await copied(shown), await shown.getAttribute("title"));
      assert.ok(await page.evaluate((text) => (getSelection().removeAllRanges(), window.find(text)), `of ${unique}`), "the end of the name is found, although it is cut");
    });
  }
});

test("a name from right to left keeps the order of its words, and so do the numbers beside it", async () => {
  const arabic = `استيراد الطلبات من المستودع الرئيسي ${"كل ليلة ".repeat(20)}`;
  const [tree, short] = [new Tree(`مهمة ${arabic} ${unique}`), new Tree(`גיבוי לילי ${unique}`)];
  const step = tree.start(arabic, tree.id, 5);
  await worker.send(tree.own, step, tree.end(step, 5), tree.end(tree.own, 10), short.own, short.end(short.own, 5));
  await onPage(`${server}/tasks?q=${unique}`, async (page) => {
    for (const each of [tree, short]) {
      const shown = row(page, each).locator(".title .name");
      await shown.waitFor();
      const { nodes, startsLeft } = await looked(shown);
      assert.deepEqual({ nodes, startsLeft }, { nodes: 1, startsLeft: false });
      assert.match(await row(page, each).locator(".number-of").innerText(), /^<\d+>$/);
    }
  });
  await onPage(tree.address, async (page) => {
    const shown = page.locator(`.node[data-process="${step.id}"] .name`);
    await shown.waitFor();
    assert.deepEqual(await looked(shown), { nodes: 1, isCut: true, startsLeft: false });
  });
});

for (const width of [1440, 390]) {
  test(`at ${width} px batch and number are whole, however long the name is`, async () => {
    const mark = newId();
    const trees = [new Tree(`${mark} ${"long ".repeat(60)}`), new Tree(`${mark} ${"long ".repeat(60)}`, { batch: "morning" })];
    const long = new Tree(`${mark} short`, { batch: `batch ${"of many words ".repeat(20)}` });
    for (const tree of [...trees, long]) await worker.send(tree.own, tree.end(tree.own, 10));
    const isWhole = (number, last) =>
      number.evaluate((element, length) => {
        const text = element.querySelector("bdi").firstChild;
        const range = document.createRange();
        range.setStart(text, Math.max(0, text.data.length - length));
        range.setEnd(text, text.data.length);
        const [box, shown] = [range.getBoundingClientRect(), element.getBoundingClientRect()];
        const cell = element.closest(".task, .line").getBoundingClientRect();
        return shown.width > 0 && box.left >= shown.left - 0.01 && box.right <= shown.right + 0.01 && shown.right <= cell.right + 1;
      }, last);
    const viewport = { width, height: 800 };
    await onPage(
      `${server}/tasks?q=${mark}`,
      async (page) => {
        for (const tree of trees) {
          await hasText(row(page, tree).locator(".number-of"), tree === trees[0] ? /^<\d+>$/ : /^<morning:\d+>$/);
          assert.ok(await isWhole(row(page, tree).locator(".number-of"), Infinity), "batch and number are whole");
          assert.ok((await looked(row(page, tree).locator(".title .name"))).isCut, "the name is cut");
        }
        // A batch that is longer than the row loses its beginning.
        await row(page, long).waitFor();
        assert.ok(await isWhole(row(page, long).locator(".number-of"), 4), "the number is whole");
      },
      { viewport },
    );
    await onPage(
      trees[1].address,
      async (page) => {
        await hasText(page.locator("h1 .number-of"), /^<morning:\d+>$/);
        assert.ok(await isWhole(page.locator("h1 .number-of"), Infinity));
      },
      { viewport },
    );
  });
}
