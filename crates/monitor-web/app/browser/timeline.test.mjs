/** The timeline of a root. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hasAddress, hasText, onPage, useBrowser, useWorker } from "./browser.mjs";
import { Tree } from "./events.mjs";

useBrowser();
const worker = useWorker();

const stage = (page) => page.locator(".stage canvas");

/** Waits until the window, in whole µs of the root's time, passes; returns it. */
async function windowIs(page, passes = () => true) {
  const deadline = Date.now() + 30_000;
  let window;
  do {
    window = (await stage(page).getAttribute("data-window"))?.split("-").map(Number);
    if (window && window[1] > 0 && passes(...window)) return window;
    await page.evaluate(() => new Promise(requestAnimationFrame));
  } while (Date.now() < deadline);
  return assert.fail(`the window is ${window}, expected ${passes}`);
}

function busy() {
  const tree = new Tree("busy");
  const steps = Array.from({ length: 10 }, (_, index) => tree.start(`step ${index}`, tree.id, index * 100, { thread: `worker ${index % 2}` }));
  const events = [tree.own, ...steps.flatMap((step, index) => [step, tree.end(step, 90, index === 3 ? { message: "broken" } : undefined)]), tree.end(tree.own, 1000)];
  return { tree, steps, events };
}

test("the tab is a link, zooms by key and wheel, and keeps its window in the address", async () => {
  const { tree, events } = busy();
  await worker.send(...events);
  await onPage(tree.address, async (page) => {
    await page.getByRole("button", { name: "Timeline" }).click();
    await hasAddress(page, /tab=timeline/);
    assert.deepEqual(await windowIs(page), [0, 1_000_000]);
    await page.goBack();
    await page.locator(".tree").waitFor();
    await page.goForward();
    await windowIs(page);
    await page.keyboard.press("w");
    const [from, to] = await windowIs(page, (from, to) => to - from < 700000);
    assert.ok(from > 100_000 && to < 900_000);
    await hasAddress(page, new RegExp(`window=${from}-${to}`));
    await page.keyboard.press("a");
    await windowIs(page, (now) => now < from);
    await page.keyboard.press("0");
    await windowIs(page, (from, to) => to - from === 1000000);
    await hasAddress(page, /^(?!.*window)/);

    const box = await stage(page).boundingBox();
    await page.mouse.move(box.x + box.width * 0.25, box.y + 100);
    await page.mouse.wheel(0, -600);
    const zoomed = await windowIs(page, (from, to) => to - from < 500000);
    // The time under the pointer stays in place.
    const under = zoomed[0] + 0.25 * (zoomed[1] - zoomed[0]);
    assert.ok(Math.abs(under - 250_000) < 5_000, `${under}`);
    await hasAddress(page, /window=/);
    await page.reload();
    assert.deepEqual(await windowIs(page), zoomed);
  });
});

test("a bar tells of itself and is selected by a click", async () => {
  const { tree, steps, events } = busy();
  await worker.send(...events);
  await onPage(`${tree.address}?tab=timeline&process=${tree.id}`, async (page) => {
    await windowIs(page);
    const at = async (part) => {
      const box = await stage(page).boundingBox();
      return [box.x + box.width * part, box.y + 24 + 18 + 9];
    };
    await page.mouse.move(...(await at(0.545)));
    await hasText(page.locator(".card strong"), "step 5");
    await hasText(page.locator(".card .number").first(), "90.0 ms");
    await page.mouse.click(...(await at(0.345)));
    await hasText(page.locator(".panel h2"), "step 3");
    await hasText(page.locator(".panel .message"), "broken");
    await hasAddress(page, new RegExp(`process=${steps[3].id}`));

    await page.mouse.dblclick(...(await at(0.745)));
    await windowIs(page, (from, to) => from > 600000 && to < 900000);
  });
});

test("all names come, though not all with the first frame", async () => {
  const tree = new Tree("many names");
  const steps = Array.from({ length: 30 }, (_, index) => tree.start(`step number ${index}`, tree.id, index));
  await worker.send(tree.own, ...steps, ...steps.map((step) => tree.end(step, 900)), tree.end(tree.own, 1000));
  const test = async (page) => {
    await windowIs(page);
    // A bar with a name has several colours.
    await page.waitForFunction((rows) => {
      const context = document.querySelector(".stage canvas").getContext("2d");
      const isNamed = (row) => new Set(new Uint32Array(context.getImageData(40, 24 + row * 18 + 4, 60, 10).data.buffer)).size > 2;
      return Array.from({ length: rows }, (_, row) => row).every(isNamed);
    }, steps.length + 1);
  };
  await onPage(`${tree.address}?tab=timeline`, test, { expected: /willReadFrequently/ });
});

test("more names in sight than are kept are drawn, and then nothing more", async () => {
  const tree = new Tree("thousands of names");
  const steps = Array.from({ length: 2400 }, (_, index) => tree.start(`step number ${index}`, tree.id, Math.floor(index / 80) * 1000 + (index % 80) / 100));
  await worker.send(tree.own, ...steps, ...steps.map((step) => tree.end(step, 900)), tree.end(tree.own, 30_000));
  const test = async (page) => {
    await windowIs(page);
    // Twelve are made in a frame; once all are there no frame is drawn any more.
    const idle = await page.evaluate(async () => {
      const canvas = document.querySelector(".stage canvas");
      let drawn = 0;
      new MutationObserver(() => (drawn += 1)).observe(canvas, { attributes: true, attributeFilter: ["data-draw-ms"] });
      const frames = (count) => new Promise((resolve) => (function next(left) {
        if (left === 0) resolve();
        else requestAnimationFrame(() => next(left - 1));
      })(count));
      for (let turn = 0; turn < 60; turn += 1) {
        const before = drawn;
        await frames(20);
        if (drawn === before) return true;
      }
      return false;
    });
    assert.ok(idle, "it is drawn again and again");
  };
  await onPage(`${tree.address}?tab=timeline`, test, { viewport: { width: 3000, height: 1700 } });
});

test("what the end waited for is underlined, and no more than that", async () => {
  const tree = new Tree("critical");
  const first = tree.start("first", tree.id, 0);
  const beside = tree.start("beside", tree.id, 100);
  const last = tree.start("last", tree.id, 500);
  await worker.send(tree.own, first, tree.end(first, 400), beside, tree.end(beside, 250), last, tree.end(last, 500), tree.end(tree.own, 1000));
  const test = async (page) => {
    await windowIs(page);
    // The root's bar is in the first row; below it `first` and `last`, then `beside`, which is not on the critical path.
    const at = [
      ["first", 1, 0.2, true],
      ["last", 1, 0.75, true],
      ["beside", 2, 0.25, false],
      ["the root while a child ran", 0, 0.2, false],
      ["the root between two children", 0, 0.45, true],
    ];
    const colours = await page.evaluate((places) => {
      const canvas = document.querySelector(".stage canvas");
      const ratio = devicePixelRatio;
      const context = canvas.getContext("2d");
      const accent = getComputedStyle(document.querySelector(".minimap")).getPropertyValue("--text").trim();
      const probe = document.body.appendChild(document.createElement("i"));
      probe.style.color = accent;
      const wanted = getComputedStyle(probe).color.match(/\d+/g).slice(0, 3).map(Number);
      probe.remove();
      return places.map(([, row, part]) => {
        const x = Math.round(canvas.clientWidth * part * ratio);
        const column = context.getImageData(x, (24 + row * 18) * ratio, 1, 18 * ratio).data;
        return Array.from({ length: column.length / 4 }, (_, y) => y).some((y) => wanted.every((value, index) => Math.abs(column[4 * y + index] - value) < 8));
      });
    }, at);
    assert.deepEqual(at.map(([name], index) => [name, colours[index]]), at.map(([name, , , isCritical]) => [name, isCritical]));
    const box = await stage(page).boundingBox();
    const hover = (part, row) => page.mouse.move(box.x + box.width * part, box.y + 24 + row * 18 + 9);
    await hover(0.2, 1);
    await hasText(page.locator(".card"), /^first.*On the critical path for 400 ms/);
    await hover(0.25, 2);
    await hasText(page.locator(".card"), /^beside(?!.*On the critical path)/);
    await hover(0.45, 0);
    await hasText(page.locator(".card"), /^critical.*On the critical path for 100 ms/);
  };
  await onPage(`${tree.address}?tab=timeline&process=${last.id}`, test, { expected: /willReadFrequently/ });
});

test("a range that is dragged over is summed up", async () => {
  const { tree, events } = busy();
  await worker.send(...events);
  await onPage(`${tree.address}?tab=timeline&process=${tree.id}`, async (page) => {
    await windowIs(page);
    const box = await stage(page).boundingBox();
    await page.keyboard.down("Shift");
    await page.mouse.move(box.x + box.width * 0.2, box.y + 200);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.3, box.y + 200);
    await page.mouse.move(box.x + box.width * 0.5, box.y + 200);
    await page.mouse.up();
    await page.keyboard.up("Shift");
    await hasText(page.locator(".sum span").first(), /^30\d ms selected: [345] processes, total 27\d ms · 1 failed$/);
    await windowIs(page, (from, to) => from === 0 && to === 1000000);

    // The summary of the window by keys only.
    await page.keyboard.press("r");
    await page.locator(".sum").waitFor({ state: "detached" });
    await page.keyboard.press("r");
    await hasText(page.locator(".sum span").first(), /^1\.0 s selected: 10 processes, total 900 ms · 1 failed$/);
  });
});

test("the window is brushed on the minimap, and dragging moves it", async () => {
  const { tree, events } = busy();
  await worker.send(...events);
  await onPage(`${tree.address}?tab=timeline&process=${tree.id}`, async (page) => {
    await windowIs(page);
    const box = await page.locator(".minimap").boundingBox();
    await page.mouse.move(box.x + box.width * 0.5, box.y + 20);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.6, box.y + 20);
    await page.mouse.move(box.x + box.width * 0.7, box.y + 20);
    await page.mouse.up();
    const [from] = await windowIs(page, (from, to) => Math.abs(from - 500000) < 5000 && Math.abs(to - 700000) < 5000);
    const area = await stage(page).boundingBox();
    await page.mouse.move(area.x + 200, area.y + 200);
    await page.mouse.down();
    await page.mouse.move(area.x + 300, area.y + 200);
    await page.mouse.up();
    await windowIs(page, (now) => now < from - 10000);
  });
});

test("idle gaps are folded unless one wants to see them", async () => {
  const tree = new Tree("idle");
  const early = tree.start("early", tree.id, 0);
  const late = tree.start("late", tree.id, 9_900);
  await worker.send(tree.own, early, tree.end(early, 100), late, tree.end(late, 100), tree.end(tree.own, 10_000));
  await onPage(`${tree.address}?tab=timeline&process=${tree.id}`, async (page) => {
    await windowIs(page);
    const nameAt = async (part) => {
      const box = await stage(page).boundingBox();
      await page.mouse.move(box.x + box.width * part, box.y + 24 + 18 + 9);
    };
    // Only 0.2 s and the collapsed gap remain of 10 s, so each takes a quarter.
    await nameAt(0.2);
    await hasText(page.locator(".card strong"), "early");
    await nameAt(0.8);
    await hasText(page.locator(".card strong"), "late");
    await page.getByRole("button", { name: "Collapse idle time" }).click();
    await hasAddress(page, /gaps=open/);
    await nameAt(0.21);
    await page.locator(".card").waitFor({ state: "detached" });
  });
});

test("bars come and grow while the work runs", async () => {
  const tree = new Tree("growing bars");
  tree.own.time_us = Date.now() * 1000;
  tree.startUs = tree.own.time_us;
  await worker.send(tree.own);
  await onPage(`${tree.address}?tab=timeline&process=${tree.id}`, async (page) => {
    await hasText(page.locator(".connection"), "live");
    await page.locator('.stage canvas[aria-label^="1 process "]').waitFor();
    const [, before] = await windowIs(page);
    await windowIs(page, (_, now) => now > before);
    const step = tree.start("step", tree.id, 10, { thread: "second" });
    await worker.send(step);
    await page.locator('.stage canvas[aria-label^="2 processes"]').waitFor();
    await page.getByRole("button", { name: "Threads" }).click();
    await hasAddress(page, /lanes=thread/);
    await worker.send(tree.end(step, 20), tree.end(tree.own, 4_000));
    await hasText(page.locator(".root-header .state").first(), /succeeded/);
    await windowIs(page, (from, to) => from === 0 && to === 4000000);
  });
});

test("on a phone it is zoomed with two fingers", async () => {
  const { tree, events } = busy();
  await worker.send(...events);
  await onPage(
    `${tree.address}?tab=timeline&process=${tree.id}`,
    async (page, context) => {
      await windowIs(page);
      await page.keyboard.press("Escape");
      const box = await stage(page).boundingBox();
      const cdp = await context.newCDPSession(page);
      const touch = (type, ...xs) => cdp.send("Input.dispatchTouchEvent", { type, touchPoints: xs.map((x, id) => ({ x: box.x + x, y: box.y + 120, id })) });
      await touch("touchStart", 140, 220);
      for (const by of [10, 30, 50, 70]) await touch("touchMove", 140 - by, 220 + by);
      await touch("touchEnd");
      await windowIs(page, (from, to) => to - from < 700000);
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360);
    },
    { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true },
  );
});
