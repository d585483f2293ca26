/** Limited space: text at twice or four times its size, narrow screens, and names that don't fit. */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { hasText, onPage, useBrowser, useWorker } from "./browser.mjs";
import { server, Tree } from "./events.mjs";

useBrowser();
const tree = new Tree("a tree of calls with a long name that goes on and on");
const chain = [];
const worker = useWorker();
before(async () => {
  const events = [tree.own];
  for (let depth = 0; depth < 30; depth += 1) {
    const call = tree.start(`call ${depth} with a long name that is cut somewhere in its middle`, chain.at(-1)?.id ?? tree.id, depth * 10);
    chain.push(call);
    events.push(call);
    for (let leaf = 0; leaf < 4; leaf += 1) {
      const one = tree.start(`leaf ${depth}.${leaf}`, call.id, depth * 10 + leaf);
      events.push(one, tree.end(one, 1));
    }
  }
  const error = { message: "the deepest call failed: connection reset by peer while reading the response" };
  for (const call of chain.toReversed()) events.push(tree.end(call, 900, error));
  await worker.send(...events, tree.end(tree.own, 1000, error));
});

/** Returns the boxes of matching elements, from left to right in each row. */
const boxes = (page, selector) => page.locator(selector).evaluateAll((elements) => elements.map((element) => element.getBoundingClientRect().toJSON()));

for (const width of [1440, 1024, 844]) {
  test(`at ${width} px nothing paints over what stands beside it`, () =>
    onPage(
      tree.address,
      async (page) => {
        await page.locator('.node[aria-selected="true"]').waitFor();
        const rows = await page.locator(".node").evaluateAll((nodes) =>
          nodes.map((node) => {
            const [what, name] = [node.querySelector(".what"), node.querySelector(".what .name")];
            // In a row without an error, the name uses the space of the error.
            const beside = [...node.querySelectorAll(".doing, .duration")].map((cell) => cell.getBoundingClientRect()).find((box) => box.width > 0);
            return { cell: what.getBoundingClientRect().right, clips: getComputedStyle(what).overflowX !== "visible", beside: beside.left, name: name.getBoundingClientRect().width };
          }),
        );
        assert.ok(rows.length > 5);
        for (const row of rows) assert.ok(row.clips && row.cell <= row.beside && row.name >= 40, JSON.stringify(row));
        const [title] = await boxes(page, ".root-header h1");
        const beside = await boxes(page, ".root-header .facts, .root-header .counts, .root-header .tabs, .root-header .menu");
        const overlaps = beside.filter((box) => box.left < title.right && box.right > title.left && box.top < title.bottom && box.bottom > title.top);
        assert.deepEqual(overlaps, []);
      },
      { viewport: { width, height: 700 } },
    ));
}

test("at 1,280 px a fold has its name whole, and how many it stands for beside it", async () => {
  const run = new Tree("nightly import");
  const stage = run.start("read and check all files", run.id, 10);
  const folds = ["parse", "load_row_into_the_warehouse"].map((name) => run.fold(name, stage.id, { count: 1240, failed: 3, durations: [[400, 1200], [546, 40]] }));
  await worker.send(run.own, stage, ...folds, run.end(stage, 900), run.end(run.own, 1000));
  const look = { viewport: { width: 1280, height: 700 } };
  await onPage(
    `${run.address}?process=${folds[0].id}`,
    async (page) => {
      await page.locator(".panel h2").waitFor();
      for (const fold of folds) {
        const node = page.locator(`.node[data-process="${fold.id}"]`);
        await hasText(node.locator(".times"), /^×1,240/);
        const { cut, over } = await node.evaluate((element) => {
          const [head, times, cell] = [".name", ".times", ".what"].map((selector) => element.querySelector(selector));
          return { cut: head.scrollWidth > head.clientWidth, over: times.getBoundingClientRect().right > cell.getBoundingClientRect().right };
        });
        assert.deepEqual({ cut, over }, { cut: false, over: false });
      }
    },
    look,
  );
});

for (const { width, height } of [{ width: 720, height: 450 }, { width: 360, height: 225 }, { width: 320, height: 256 }]) {
  test(`at ${width} × ${height} px the chosen row is seen, and keys go through the tree`, () =>
    onPage(
      tree.address,
      async (page) => {
        const chosen = page.locator('.node[aria-selected="true"]');
        await hasText(page.locator(".panel h2"), /^call 29/);
        /** Returns true if the middle of the row is not covered. */
        const isSeen = () =>
          page.waitForFunction(() => {
            const row = document.querySelector('.node[aria-selected="true"]');
            if (!row) return false;
            const { left, top, height: high } = row.getBoundingClientRect();
            return document.elementFromPoint(left + 60, top + high / 2)?.closest(".node") === row;
          });
        await chosen.waitFor();
        await isSeen();
        for (let step = 0; step < 12; step += 1) {
          await page.keyboard.press("ArrowUp");
          await isSeen();
        }
        await page.keyboard.press("Home");
        await isSeen();
      },
      { viewport: { width, height } },
    ));
}

test("the rows over a deep tree are those that the first row in sight hangs below", () =>
  onPage(`${tree.address}?process=${chain[20].id}`, async (page) => {
    await page.locator(".stuck").first().waitFor();
    await page.waitForFunction(() => {
      const stuck = [...document.querySelectorAll(".stuck")];
      const bottom = Math.max(...stuck.map((each) => each.getBoundingClientRect().bottom));
      const first = [...document.querySelectorAll(".node")].filter((node) => node.getBoundingClientRect().bottom > bottom + 1).sort((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top)[0];
      const nearest = stuck.at(-1).querySelector(".name").title;
      const name = first?.querySelector(".name").title ?? "";
      const [, own] = /^(?:call|leaf) (\d+)/.exec(name) ?? [];
      // A call is below the previous call; a leaf is below its own call.
      const above = name.startsWith("leaf") ? Number(own) : Number(own) - 1;
      return nearest.startsWith(`call ${above} `) && stuck[0].querySelector(".name").title.startsWith("a tree of calls");
    });
  }));

for (const [width, height] of [[1440, 820], [1024, 700], [390, 844]]) {
  test(`at ${width} px rows of a level begin beside each other, whether they say why or not`, () =>
    onPage(
      `${tree.address}?process=${chain[20].id}`,
      async (page) => {
        await page.locator(`.node[data-process="${chain[20].id}"]`).waitFor();
        // The deepest calls and their leaves have the maximum indentation. They are rendered gradually.
        const found = await page.waitForFunction(() => {
          const rows = [...document.querySelectorAll(".node, .stuck")];
          const deep = rows.filter((row) => Number(/^(?:call|leaf) (\d+)/.exec(row.querySelector(".name")?.title ?? "")?.[1] ?? 0) > 14);
          return deep.length > 8 && deep.map((row) => Math.round(parseFloat(getComputedStyle(row.querySelector(".what")).paddingLeft)));
        });
        const deep = await found.jsonValue();
        assert.equal(new Set(deep).size, 1, JSON.stringify(deep));
      },
      { viewport: { width, height } },
    ));
}

test("the timeline scrolls to the bar that is chosen", () =>
  onPage(
    `${tree.address}?tab=timeline&process=${chain[29].id}`,
    async (page) => {
      await page.locator(".stage canvas[data-window]").waitFor();
      // 31 levels of 18 px are far higher than the view.
      await page.waitForFunction(() => {
        const stage = document.querySelector(".stage");
        const bar = 24 + 30 * 18;
        return stage.scrollTop > 0 && bar >= stage.scrollTop && bar + 18 <= stage.scrollTop + stage.clientHeight;
      });
    },
    { viewport: { width: 1440, height: 420 } },
  ));

test("what can be touched on a phone is 44 px high", () =>
  onPage(
    `${server}/tasks`,
    async (page) => {
      for (const address of [`${server}/tasks`, tree.address]) {
        await page.goto(address);
        await page.locator(".root[data-root] .title, .node").first().waitFor();
        const small = await page.locator(".rail a, .rail summary, .filters :is(button, input, select, summary), .root-header :is(a, button, summary), .toolbar :is(button, input, select)").evaluateAll((elements) =>
          elements.map((element) => ({ what: element.outerHTML.slice(0, 80), ...element.getBoundingClientRect().toJSON() })).filter(({ width, height }) => width > 0 && height < 44),
        );
        assert.deepEqual(small.map(({ what, height }) => `${height} ${what}`), []);
      }
    },
    { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true },
  ));

test("a click on the process that opened by itself comes into the address", () =>
  onPage(tree.address, async (page) => {
    await hasText(page.locator(".panel h2"), /^call 29/);
    assert.doesNotMatch(page.url(), /process=/);
    await page.locator('.node[aria-selected="true"] .name').click();
    await page.waitForURL(/process=/);
  }));
