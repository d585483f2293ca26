/**
 * Benchmark of the page in a real browser: `cargo xtask bench page [--million] [--only PART] [--json]`, with PART one of first, sizes,
 * large, live, calls. Prints measured values and targets. Results are only meaningful on an idle machine.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { launch } from "./browser.mjs";
import { server, Tree, Worker } from "./events.mjs";

const options = process.argv.slice(2);
const figures = [];
const note = (name, value, wanted, unit) => {
  figures.push({ name, value: Math.round(value * 10) / 10, wanted, unit, holds: value <= wanted });
  if (!options.includes("--json")) console.log(`${value <= wanted ? "  " : "! "}${name.padEnd(58)} ${value.toFixed(1).padStart(9)} ${unit.padEnd(3)} (${wanted})`);
};
const percentile = (values, part) => values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.ceil(part * values.length) - 1)];

const browser = await launch();
const worker = await new Worker().online();

async function onPage(test) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 820 }, locale: "en-US" });
  const page = await context.newPage();
  page.setDefaultTimeout(120_000);
  try {
    return await test(page, await context.newCDPSession(page));
  } finally {
    await context.close();
  }
}

/** Creates a tree with `stages` stages of 999 items each, all ended. */
async function grow(stages) {
  const tree = new Tree(`bench ${stages}`);
  // A tree of an earlier benchmark can be reused.
  const { roots } = await (await fetch(`${server}/api/v1/roots?state=succeeded&limit=1&name=${encodeURIComponent(tree.name)}`)).json();
  if (roots[0]) return Object.assign(tree, { rootId: roots[0].root_id });
  const events = [tree.own];
  for (let stage = 0; stage < stages; stage += 1) {
    const parent = tree.start(`stage ${stage}`, tree.id, stage * 100);
    events.push(parent);
    for (let item = 0; item < 999; item += 1) {
      const one = tree.start(`item ${item % 50}`, parent.id, stage * 100 + item / 12, { thread: `worker ${stage % 8}` });
      events.push(one, tree.end(one, 1 + (item % 7)));
    }
    events.push(tree.end(parent, 99));
    if (events.length > 100_000) await worker.sendAll(events.splice(0));
  }
  await worker.sendAll([...events, tree.end(tree.own, stages * 100)]);
  return tree;
}

/** Measures the time between frames in milliseconds; with `scrolls`, each frame scrolls by one step through all rows. */
function frames(page, count, scrolls) {
  return page.evaluate(
    async ([times, steps]) => {
      const scroller = document.querySelector(".scroller");
      const found = [];
      let last = performance.now();
      for (let at = 0; at < times; at += 1) {
        if (steps) scroller.scrollTop = (scroller.scrollHeight / times) * at;
        await new Promise(requestAnimationFrame);
        const now = performance.now();
        found.push(now - last);
        last = now;
      }
      return found;
    },
    [count, scrolls],
  );
}

const VISITS = 5;
const SLOWER = 4;

/** Returns the median of several visits, each with a new browser profile. */
async function first() {
  for (let index = 0; index < 100; index += 1) {
    const tree = new Tree(`root ${index}`);
    await worker.send(tree.own, tree.end(tree.own, 5));
  }
  // Exclude the browser's own first page.
  await onPage((page) => page.goto("about:blank"));
  const visits = [];
  for (let visit = 0; visit < VISITS; visit += 1) visits.push(await onPage(twice));
  for (const [at, visited] of ["first visit", "cached"].entries()) {
    const middle = (of) => percentile(visits.map((visit) => visit[at][of]), 0.5);
    note(`list: largest paint, ${visited}`, middle("lcp"), 300, "ms");
    note(`list: blocking time, ${visited}`, middle("blocked"), 50, "ms");
    console.error(`list: rows, ${visited}: ${middle("rows").toFixed(0)} ms`);
    note(`list: over the wire, ${visited}`, middle("bytes") / 1000, at === 0 ? 220 : 20, "kB");
  }
  const slow = [];
  for (let visit = 0; visit < VISITS; visit += 1) slow.push((await onPage((page, cdp) => twice(page, cdp, SLOWER)))[0].lcp);
  note(`list: largest paint, first visit, processor ${SLOWER} x slower`, percentile(slow, 0.5), 1200, "ms");
}

/** Loads the list with an empty cache, and again with all files cached, as on a daily visit. */
async function twice(page, cdp, slower = 1) {
  await cdp.send("Emulation.setCPUThrottlingRate", { rate: slower });
  let bytes = 0;
  cdp.on("Network.loadingFinished", (finished) => (bytes += finished.encodedDataLength));
  await cdp.send("Network.enable");
  await page.addInitScript(() => {
    globalThis.seen = { lcp: 0, blocked: 0, rows: 0 };
    new PerformanceObserver((list) => list.getEntries().forEach((entry) => (globalThis.seen.lcp = entry.startTime))).observe({ type: "largest-contentful-paint", buffered: true });
    new PerformanceObserver((list) => list.getEntries().forEach((entry) => (globalThis.seen.blocked += entry.duration - 50))).observe({ type: "longtask", buffered: true });
    const observer = new MutationObserver(() => {
      if (!document.querySelector(".root[data-root]")) return;
      observer.disconnect();
      requestAnimationFrame(() => setTimeout(() => (globalThis.seen.rows = performance.now())));
    });
    observer.observe(document, { childList: true, subtree: true });
  });
  const found = [];
  for (let time = 0; time < 2; time += 1) {
    await page.goto(`${server}/tasks`);
    await page.waitForFunction(() => globalThis.seen.lcp > 0 && globalThis.seen.rows > 0);
    await page.evaluate(() => new Promise(requestIdleCallback));
    found.push({ ...(await page.evaluate(() => globalThis.seen)), bytes });
    // Idle loading of the other screens belongs to the first visit; the second one uses the cache.
    await allRead(page);
    bytes = 0;
  }
  return found;
}

/** Waits until nothing was loaded for half a second. Browsers may not report that a shared worker's script has loaded. */
async function allRead(page) {
  await page.evaluate(async () => {
    const count = () => performance.getEntriesByType("resource").length;
    for (let before = -1; before !== count(); ) {
      before = count();
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  });
}

/** Size of the files that the list needs before the first paint, and of all files. A test of the build checks the same limits. */
async function sizes() {
  const sent = new Map();
  const read = async (path) => {
    // Request as browsers do without TLS. The length is that of the transferred body.
    const answer = await fetch(`${server}/${path}`, { headers: { "accept-encoding": "gzip, deflate" } });
    sent.set(path, Number(answer.headers.get("content-length")));
    return answer.text();
  };
  const found = new Map();
  const follow = async (path, links) => {
    if (found.has(path)) return;
    found.set(path, await read(path));
    for (const [, name] of found.get(path).matchAll(links)) await follow(`assets/${name}`, links);
  };
  const gz = (end) => [...found.keys()].filter((path) => path.endsWith(end)).reduce((sum, path) => sum + sent.get(path), 0) / 1000;
  const html = await read("tasks");
  const scripts = [...html.matchAll(/src="\/(assets\/[^"]+\.js)"/g)].map(([, path]) => path);
  const tasks = (await read(scripts[0])).match(/Tasks-[\w-]+\.js/)[0];
  for (const path of [...scripts, `assets/${tasks}`]) await follow(path, /(?:from|import)\s*"\.\/([\w-]+\.js)"/g);
  note("JavaScript of the entry, gzip", gz(".js"), 170, "kB");
  found.clear();
  for (const path of [...scripts, ...[...html.matchAll(/href="\/(assets\/[^"]+\.css)"/g)].map(([, css]) => css)]) await follow(path, /(?:assets\/|\.\/)([\w.-]+\.(?:js|css))/g);
  note("JavaScript in all, gzip", gz(".js"), 320, "kB");
  note("CSS in all, gzip", gz(".css"), 23, "kB");
}

async function large(tree, size, firstRowsMs) {
  await onPage(async (page, cdp) => {
    const begin = Date.now();
    await page.goto(tree.address);
    await page.locator(".node").nth(1).waitFor();
    note(`tree of ${size}: first rows`, Date.now() - begin, firstRowsMs, "ms");
    await page.waitForFunction((wanted) => document.querySelector(".toolbar .size")?.textContent === `${wanted} processes`, size);
    console.error(`tree of ${size}: whole after ${Date.now() - begin} ms`);
    const click = (name) =>
      page.evaluate(async (label) => {
        const button = [...document.querySelectorAll("button")].find((each) => each.textContent === label);
        const before = document.querySelector(".scroller").getAttribute("aria-rowcount");
        const begin = performance.now();
        button.click();
        while (document.querySelector(".scroller").getAttribute("aria-rowcount") === before) await new Promise(requestAnimationFrame);
        return performance.now() - begin;
      }, name);
    const folds = [];
    for (let turn = 0; turn < 5; turn += 1) folds.push(await click("Expand all"), await click("Collapse all"));
    await click("Expand all");
    note(`tree of ${size}: all opened or closed, p95`, percentile(folds, 0.95), 50, "ms");
    const scrolls = await frames(page, 120, true);
    note(`tree of ${size}: a frame while scrolling, p95`, percentile(scrolls, 0.95), 33, "ms");
    await cdp.send("HeapProfiler.collectGarbage");
    const { usedSize, backingStorageSize = 0 } = await cdp.send("Runtime.getHeapUsage");
    note(`tree of ${size}: memory of the page, buffers included`, (usedSize + backingStorageSize) / 1e6, 150 * (size === "100,001" ? 1 : 10), "MB");

    note(`timeline of ${size}: longest task while it opens`, await longestTask(page, () => page.getByRole("button", { name: "Timeline" }).click(), ".stage canvas[data-window]"), size === "100,001" ? 100 : 1000, "ms");
    const draws = [];
    for (const key of "wwwdddsssswwwwaaaassss") {
      const before = await page.locator(".stage canvas").getAttribute("data-window");
      await page.keyboard.press(key);
      await page.waitForFunction((was) => document.querySelector(".stage canvas").dataset.window !== was, before, { timeout: 2000 }).catch(() => undefined);
      draws.push(Number(await page.locator(".stage canvas").getAttribute("data-draw-ms")));
    }
    note(`timeline of ${size}: drawing a frame, p95`, percentile(draws, 0.95), 8, "ms");
  });
}

/**
 * Returns the longest task of the page's thread from an action until its result is visible and the browser is idle; browsers report tasks
 * of at least 50 ms.
 */
async function longestTask(page, act, ready) {
  await page.evaluate(() => {
    globalThis.longest = 0;
    new PerformanceObserver((list) => list.getEntries().forEach(({ duration }) => (globalThis.longest = Math.max(globalThis.longest, duration)))).observe({ type: "longtask" });
  });
  await act();
  await page.locator(ready).waitFor();
  await frames(page, 30, false);
  await page.evaluate(() => new Promise(requestIdleCallback));
  return page.evaluate(() => globalThis.longest);
}

/** Records for each process the time at which its row first existed, after the frame that painted it, in Unix milliseconds. */
function watchRows(page) {
  return page.evaluate(() => {
    globalThis.shown = new Map();
    new MutationObserver(() => {
      const fresh = [...document.querySelectorAll(".node")].map((row) => row.dataset.process).filter((id) => !globalThis.shown.has(id));
      for (const id of fresh) globalThis.shown.set(id, Infinity);
      // Callbacks of a frame run before painting; the task scheduled in them runs after it.
      requestAnimationFrame(() => setTimeout(() => fresh.forEach((id) => globalThis.shown.set(id, Date.now()))));
    }).observe(document.querySelector(".tree"), { childList: true, subtree: true });
  });
}

/**
 * Measures the time from a call of an attributed function, in a real program with default settings, to its row on the screen. Both use the
 * same machine's clock.
 */
async function calls() {
  const program = process.env.MONITOR_BENCH_PACED;
  if (!program) return console.error("MONITOR_BENCH_PACED is not set: calls to pixels are not measured");
  const paced = spawn(program, ["100"], { env: { ...process.env, MONITOR_ENABLED: "1", MONITOR_SERVER_URL: server }, stdio: ["ignore", "pipe", "inherit"] });
  let printed = "";
  paced.stdout.on("data", (data) => (printed += data));
  const ended = once(paced, "exit");
  await onPage(async (page) => {
    // High enough for a row of each call.
    await page.setViewportSize({ width: 1440, height: 3400 });
    await page.goto(`${server}/tasks?name=paced+calls`);
    await page.locator('.root[data-state="running"] .title').first().click();
    await page.locator('.connection[data-connection="live"]').waitFor();
    await page.locator(".tree .node").first().waitFor();
    await watchRows(page);
    await ended;
    await page.locator('.root-header[data-state="succeeded"]').waitFor();
    const called = printed.trim().split("\n").map((us) => Number(us) / 1000);
    const { processes } = await (await fetch(`${server}/api/v1/roots/${new URL(page.url()).pathname.split("/").at(-1)}/tree?limit=1000`)).json();
    // Siblings are sorted by their start.
    const shown = await page.evaluate(() => Object.fromEntries(globalThis.shown));
    const steps = processes.filter(({ parent_id }) => parent_id !== null);
    const waits = steps.flatMap(({ id }, index) => (shown[id] === undefined ? [] : [shown[id] - called[index]]));
    console.error(`calls to pixels: ${waits.length} of ${steps.length} calls had a row in sight; p50 ${percentile(waits, 0.5).toFixed(0)} ms, longest ${Math.max(...waits).toFixed(0)} ms`);
    note("a call of a marked function to its pixel, p95", percentile(waits, 0.95), 250, "ms");
  });
}

/** Measures the time from the response to an event's batch to its visible change: the delay in the stream, the page and the browser. */
async function live() {
  const tree = new Tree("live bench");
  await worker.send(tree.own);
  await onPage(async (page) => {
    await page.goto(tree.address);
    await page.locator('.connection[data-connection="live"]').waitFor();
    await page.locator(".tree").waitFor();
    await watchRows(page);
    const waits = [];
    for (let index = 0; index < 20; index += 1) {
      const step = tree.start(`step ${index}`, tree.id, 60_000 + index);
      await worker.send(step);
      const stored = Date.now();
      await page.locator(`.node[data-process="${step.id}"]`).waitFor();
      const shown = await page.waitForFunction((id) => Number.isFinite(globalThis.shown.get(id)) && globalThis.shown.get(id), step.id);
      waits.push((await shown.jsonValue()) - stored);
    }
    note("an event that is stored to its row, p95", Math.max(0, percentile(waits, 0.95)), 100, "ms");
    const sending = (async () => {
      for (let part = 0; part < 50; part += 1) {
        const begin = Date.now();
        await worker.sendAll(Array.from({ length: 100 }, (_, index) => tree.start("busy", tree.id, 61_000 + part * 100 + index)));
        await new Promise((resolve) => setTimeout(resolve, Math.max(0, 100 - (Date.now() - begin))));
      }
    })();
    const paces = await frames(page, 240, false);
    await sending;
    note("1,000 events/s: longest frame", Math.max(...paces), 50, "ms");
  });
}

const only = options.includes("--only") ? options[options.indexOf("--only") + 1] : undefined;
const parts = { first, sizes, large: async () => large(await grow(100), "100,001", 500), live, calls };
for (const [name, measure] of Object.entries(parts)) if (only === undefined || only === name) await measure();
if (options.includes("--million")) await large(await grow(1000), "1,000,001", 1500);
await browser.close();
if (options.includes("--json")) console.log(JSON.stringify(figures, null, 2));
