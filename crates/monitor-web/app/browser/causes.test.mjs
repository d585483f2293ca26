/** Failures by cause, the search for texts in rows, and sorting by the list's header. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hasAddress, hasText, onPage, row, useBrowser, useWorker } from "./browser.mjs";
import { newId, nowUs, server, Tree, Worker } from "./events.mjs";

useBrowser();
const unique = newId();
const worker = useWorker();

const HOUR_US = 3_600_000_000;

/** Creates a run that started `hoursAgo` and failed, or is running. */
function run(name, hoursAgo, error) {
  const tree = new Tree(name);
  tree.own.time_us = nowUs() - hoursAgo * HOUR_US;
  tree.events = error ? [tree.own, tree.end(tree.own, 5, error)] : [tree.own];
  return tree;
}

/** A unique word without digits, because shapes of messages replace digits. */
const letters = unique.replace(/[0-9]/g, (digit) => "ghijklmnop"[Number(digit)]);
const MOST_LINES = 3;

test("what failed stands above the list by cause, once for all that failed alike, and narrows it", async () => {
  const alike = [1, 2].map((number) => run(`cause ${unique}`, 1, { message: `order ${number} of ${letters} not found` }));
  const others = ["disk", "table", "memory"].map((what) => run(`cause ${unique}`, 1, { message: `${what} of ${letters}x full` }));
  const lasts = [5, 1].map((hours) => run(`cause ${unique}`, hours, { message: `${hours} days of ${letters} gone` }));
  await worker.send(...[...alike, ...others, ...lasts].flatMap(({ events }) => events));
  await onPage(`${server}/tasks`, async (page) => {
    const strip = page.locator(".causes");
    await strip.getByRole("button", { name: /^All/ }).click();
    const kind = strip.locator(".every button", { hasText: `order … of ${letters} not found` });
    await kind.waitFor();
    await hasText(kind.locator(".number"), "2");
    await hasText(kind.locator(".mark"), /new/);
    await hasText(kind.locator(".names"), `cause ${unique}`);
    // The times are displayed equally, so only one is shown.
    assert.match(await kind.locator(".times").innerText(), /^1 ?h[^–]*$/);
    const lasting = strip.locator(".every button", { hasText: `… days of ${letters} gone` });
    assert.match(await lasting.locator(".times").innerText(), /^5 ?h.* – 1 ?h/);
    await kind.click();
    for (const tree of others) await row(page, tree).waitFor({ state: "detached" });
    for (const tree of alike) await row(page, tree).waitFor();
    await hasAddress(page, /state=failed/);
    // A cause that was opened is no longer new in this browser.
    await page.reload();
    await strip.getByRole("button", { name: /^All/ }).click();
    await hasText(kind.locator(".number"), "2");
    assert.equal(await kind.locator(".mark").count(), 0);
    await lasting.locator(".mark").waitFor();
  });
});

test("an exit code alone is a cause of each name, and the rail counts the names that fail", async () => {
  const exits = [3, 4].map((code) => ({ kind: "exit", message: `exit code ${code}` }));
  const [one, other] = exits.map((error, index) => run(`exit ${index} ${unique}`, 1, error));
  await worker.send(...one.events, ...other.events);
  await onPage(`${server}/tasks`, async (page) => {
    const { failing_names } = await (await fetch(`${server}/api/v1/status`)).json();
    assert.ok(failing_names >= 2);
    await hasText(page.locator("a.entry[title=Runs] .badge [aria-hidden]"), String(failing_names));
    const strip = page.locator(".causes");
    await strip.getByRole("button", { name: /^All/ }).click();
    const kinds = strip.locator(".every button", { hasText: "exit code …" });
    await kinds.filter({ hasText: other.name }).click();
    await row(page, other).waitFor();
    await row(page, one).waitFor({ state: "detached" });
    await hasAddress(page, /name=exit/);
  });
});

test("the commonest causes have a line each, and nothing moves when something else fails", async () => {
  // There are more causes than lines.
  const kinds = ["a", "b", "c", "d"].map((kind) => run(`lines ${unique}`, 1, { message: `${kind}-${letters} refused` }));
  await worker.send(...kinds.flatMap(({ events }) => events));
  const { causes } = await (await fetch(`${server}/api/v1/stats/causes?from=${nowUs() - 24 * HOUR_US}&limit=50`)).json();
  const most = causes.map(({ count }) => count).sort((a, b) => b - a);
  await onPage(`${server}/tasks`, async (page) => {
    const strip = page.locator(".causes");
    const lines = strip.locator(".few .number");
    await lines.first().waitFor();
    assert.equal(await lines.count(), MOST_LINES);
    // The last line may show a new cause.
    const shown = (await lines.allTextContents()).map((text) => Number(text.replaceAll(",", "")));
    assert.deepEqual(shown.slice(0, -1), most.slice(0, MOST_LINES - 1));
    assert.ok((await strip.locator(".few .mark").count()) > 0 || shown.at(-1) === most[MOST_LINES - 1]);
    await hasText(page.locator(".connection"), "live");
    const before = await page.locator(".list").boundingBox();
    const all = strip.getByRole("button", { name: /^All/ });
    await hasText(all, `All ${causes.length}`);
    const late = run(`lines ${unique}`, 0, { message: `late-${letters} refused` });
    await worker.send(...late.events);
    await hasText(all, `All ${causes.length + 1}`);
    assert.deepEqual(await page.locator(".list").boundingBox(), before);
    assert.equal(await lines.count(), MOST_LINES);
  });
});

test("where there is little height the causes are shown on request", () =>
  onPage(
    `${server}/tasks`,
    async (page) => {
      await page.locator(".root[data-root]").first().waitFor();
      assert.equal(await page.locator(".causes .few").isVisible(), false);
      await page.locator(".causes").getByRole("button", { name: /^All/ }).click();
      await page.locator(".causes .every button").first().waitFor();
    },
    { viewport: { width: 720, height: 450 } },
  ));

test("causes, numbers and beginnings of ids are found in the list and by the palette", async () => {
  const tree = run(`found ${unique}`, 0, { message: "can't write report", chain: [`No such file ${unique}`] });
  await worker.send(...tree.events);
  const { number } = await (await fetch(`${server}/api/v1/roots/${tree.rootId}`)).json();
  for (const asked of [`No such file ${unique}`, String(number), `<${number}>`, tree.rootId.slice(0, 20)]) {
    await onPage(`${server}/tasks?q=${encodeURIComponent(asked)}`, async (page) => {
      await hasText(row(page, tree).locator(".why"), `can't write report: No such file ${unique}`);
    });
  }
  await onPage(`${server}/tasks`, async (page) => {
    await hasText(page.locator(".connection"), "live");
    const ask = async (text) => {
      await page.keyboard.press("Control+k");
      await page.locator(".palette input").fill(text);
    };
    await ask(`such file ${unique}`);
    await page.getByRole("option", { name: new RegExp(`found ${unique} <${number}>.*No such file ${unique}`) }).waitFor();
    await ask(tree.id.slice(0, 10));
    await page.getByRole("option", { name: /process with this ID$/ }).first().click();
    await hasAddress(page, new RegExp(`/tasks/${tree.rootId}.*process=${tree.id}`));
  });
});

test("runs stand where they began, however late they come", async () => {
  const name = `late ${unique}`;
  const [now, old, yesterday, twoHours] = [run(name, 0), run(name, 144, { message: "too old" }), run(name, 24), run(name, 2)];
  await worker.send(...now.events, ...old.events);
  await onPage(`${server}/tasks?name=${encodeURIComponent(name)}`, async (page) => {
    await row(page, old).waitFor();
    const inOrder = (trees) => page.waitForFunction((ids) => {
      const rows = [...document.querySelectorAll(".root[data-root]")].sort((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top);
      return rows.map((each) => each.dataset.root).join() === ids;
    }, trees.map(({ rootId }) => rootId).join());
    await inOrder([now, old]);
    await worker.send(...yesterday.events, ...twoHours.events);
    await inOrder([now, twoHours, yesterday, old]);
    await page.reload();
    await inOrder([now, twoHours, yesterday, old]);
    // The marks of the last runs are links, too; this run is at the right end. They appear after the rows.
    await row(page, old).locator(".last").waitFor();
    const marks = (tree) => row(page, tree).locator(".last rect").evaluateAll((rects) => rects.sort((a, b) => a.x.baseVal.value - b.x.baseVal.value).map((rect) => rect.dataset.state));
    assert.deepEqual(await marks(now), ["failed", "running", "running", "running"]);
    assert.deepEqual(await marks(yesterday), ["failed", "running"]);
    assert.deepEqual(await marks(old), ["failed"]);
  });
});

test("a run tells in the list and on its own how far it is", async () => {
  const tree = new Tree(`far ${unique}`);
  await worker.send(tree.own, { type: "process-progressed", root_id: tree.rootId, id: tree.id, time_us: nowUs(), done: 7200, total: 10_000, unit: "files" });
  await onPage(`${server}/tasks?q=${encodeURIComponent(tree.name)}`, async (page) => {
    await hasText(row(page, tree).locator(".expected"), /^7,200 \/ 10,000 files/);
    await worker.send({ type: "process-progressed", root_id: tree.rootId, id: tree.id, time_us: nowUs(), done: 8100, total: 10_000, unit: "files" });
    await hasText(row(page, tree).locator(".expected"), /^8,100 \/ 10,000 files/);
    await row(page, tree).locator(".title").click();
    await hasText(page.locator(".root-header .expected"), /^8,100 \/ 10,000 files/);
    // Nothing is known of what is left when all is counted.
    await worker.send({ type: "process-progressed", root_id: tree.rootId, id: tree.id, time_us: nowUs(), done: 10_000, total: 10_000, unit: "files" });
    await hasText(page.locator(".root-header .expected"), "10,000 / 10,000 files");
  });
});

test("a run that is lost, or waits, has an axis as long as is known", async () => {
  const silent = await new Worker().online(300);
  const [lost, waits] = [new Tree(`lost ${unique}`), new Tree(`waits ${unique}`)];
  await silent.send(lost.own, lost.start("step", lost.id, 1));
  const queued = ({ attachment: _, source: __, thread: ___, ...rest }) => ({ ...rest, type: "process-queued" });
  await worker.send(queued(waits.own), queued(waits.start("step", waits.id, 1)));
  for (const tree of [lost, waits]) {
    await onPage(tree.address, async (page) => {
      await hasText(page.locator(".root-header .state"), tree === lost ? /lost/ : /pending/);
      // As in the list: it took at least until its worker was last seen.
      if (tree === lost) await hasText(page.locator(".root-header .facts .number").first(), /^≥ 1 m/);
      await hasText(page.locator(".tree-head .axis span").last(), /^1 m|^[2-9] m/);
      await page.waitForFunction(() => (document.querySelector(".node .bar")?.getBoundingClientRect().width ?? 0) > 20);
    });
  }
});

test("workers that said goodbye are shown when they are asked for, the others by program and host", async () => {
  const program = `loader ${unique}`;
  const [one, two, gone] = [await new Worker({ program }).online(), await new Worker({ program }).online(), await new Worker({ program }).online()];
  await gone.send({ type: "worker-offline", time_us: nowUs() });
  await onPage(`${server}/tasks/workers`, async (page) => {
    for (const each of [one, two]) await page.locator(`tr[data-worker="${each.id}"]`).waitFor();
    assert.equal(await page.locator(`tr[data-worker="${gone.id}"]`).count(), 0);
    await hasText(page.locator("tr.group", { hasText: program }), /2 workers$/);
    await page.locator(".states").getByRole("button", { name: /^offline/ }).click();
    await page.locator(`tr[data-worker="${gone.id}"]`).waitFor();
    await page.locator(`tr[data-worker="${one.id}"]`).waitFor({ state: "detached" });
    await page.locator(".states").getByRole("button", { name: /^offline/ }).click();
    await page.getByRole("searchbox").fill(`${program}@`);
    await page.locator(`tr[data-worker="${one.id}"]`).waitFor();
    await page.waitForFunction(() => document.querySelectorAll("tr[data-worker]").length === 2);
  });
});
