/** Lanes of a tree: the rows in each lane. */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { hasAddress, hasText, onPage as open, useBrowser } from "./browser.mjs";
import { server, Tree, Worker } from "./events.mjs";

useBrowser();
let build;
let deploy;
before(async () => {
  build = await new Worker({ hostname: "build-7", program: "make", pid: 7 }).online();
  deploy = await new Worker({ hostname: "deploy-2", program: "ship", pid: 2 }).online();
});

/** High enough for all rows. */
const onPage = (address, test) => open(address, test, { viewport: { width: 1440, height: 1600 } });
const node = (page, process) => page.locator(`.node[data-process="${process.id}"]`);
const selected = (page) => page.locator('.node[aria-selected="true"]');
/** Returns each row with its level: `1 build-7`, `2 release`. */
const rows = (page) => page.locator(".node").evaluateAll((found) => found.map((row) => `${row.getAttribute("aria-level")} ${row.querySelector(".name").title}`));

/** Waits until the rows are these. */
async function hasRows(page, expected) {
  await page.waitForFunction((wanted) => {
    const found = [...document.querySelectorAll(".node")].map((row) => `${row.getAttribute("aria-level")} ${row.querySelector(".name").title}`);
    return found.join("\n") === wanted.join("\n");
  }, expected).catch(async () => assert.deepEqual(await rows(page), expected));
}

/** A release that is built on one host and shipped by another, which calls the first host for a check. */
async function release() {
  const tree = new Tree("release");
  const compile = tree.start("compile", tree.id, 10, { thread: "compiler" });
  const upload = tree.start("upload", tree.id, 100);
  const copy = tree.start("copy", upload.id, 110);
  const check = tree.start("check", upload.id, 120);
  await build.send(tree.own, compile, tree.end(compile, 50));
  await deploy.send(upload, copy, tree.end(copy, 20, { message: "disk full" }));
  await build.send(check, tree.end(check, 5, { message: "checksum" }));
  await deploy.send(tree.end(upload, 100, { message: "not released: checksum" }));
  await build.send(tree.end(tree.own, 300, { message: "upload failed" }));
  return { tree, compile, upload, copy, check };
}

test("rows stand in the lane of the host, worker or thread that they run on, and the choice is a link", async () => {
  const { tree, copy } = await release();
  await onPage(tree.address, async (page) => {
    await hasText(selected(page).locator(".name"), "check");
    await page.getByRole("combobox", { name: "Lanes" }).selectOption({ label: "Hosts" });
    await hasAddress(page, /lanes=host/);
    await hasRows(page, ["1 build-7", "2 release", "3 compile", "2 check", "1 deploy-2", "2 upload", "3 copy"]);
    await hasText(page.locator(".node").first().locator(".below"), /^22 failed3$/);
    await hasText(selected(page).locator(".name"), "check");
    assert.deepEqual(
      await page.locator(".node").evaluateAll((found) => found.map((row) => `${row.getAttribute("aria-posinset")}/${row.getAttribute("aria-setsize")}`)),
      ["1/2", "1/2", "1/1", "2/2", "2/2", "1/1", "1/1"],
    );
    await page.reload();
    await hasRows(page, ["1 build-7", "2 release", "3 compile", "2 check", "1 deploy-2", "2 upload", "3 copy"]);
    await page.getByRole("combobox", { name: "Lanes" }).selectOption({ label: "Threads" });
    await hasRows(page, ["1 main · build-7 · 7", "2 release", "2 check", "1 compiler · build-7 · 7", "2 compile", "1 main · deploy-2 · 2", "2 upload", "3 copy"]);
    // The timeline has the same lanes.
    await page.getByRole("button", { name: "Timeline" }).click();
    await page.locator('.timeline-bar button[aria-pressed="true"]', { hasText: "Threads" }).waitFor();
    await page.goto(`${tree.address}?lanes=whatever&process=${copy.id}`);
    await hasRows(page, ["1 release", "2 compile", "2 upload", "3 copy", "3 check"]);
  });
});

test("who handed it over is named in the row, a click or a key away, and so is the way back", async () => {
  const { tree, upload, check } = await release();
  await onPage(`${tree.address}?lanes=host&process=${check.id}`, async (page) => {
    const from = node(page, check).locator(".handed.from");
    await hasText(from.locator(".name"), "upload");
    assert.equal(await from.getAttribute("title"), "Started by upload, which runs in deploy-2");
    await page.locator(".tree .scroller").focus();
    await page.keyboard.press("p");
    await hasText(selected(page).locator(".name"), "upload");
    await node(page, upload).getByRole("button", { name: "1 of its children runs in other lanes" }).click();
    await hasText(selected(page).locator(".name"), "check");
    await from.click();
    await hasText(page.locator(".panel h2"), "upload");
    assert.equal(await node(page, tree.own).locator(".handed").textContent(), "1 of its children runs in other lanes: go to the first 1");
  });
});

test("lanes fold by key, tell of themselves, and the next failure opens its lane", async () => {
  const { tree } = await release();
  await onPage(`${tree.address}?lanes=host&process=${tree.id}`, async (page) => {
    await hasText(selected(page).locator(".name"), "release");
    await page.keyboard.press("Home");
    await hasAddress(page, /process=%40build-7/);
    await hasText(page.locator(".panel h2"), "build-7");
    await hasText(page.locator(".panel-head p"), /^3 processes/);
    await page.keyboard.press("ArrowLeft");
    await hasRows(page, ["1 build-7", "1 deploy-2", "2 upload", "3 copy"]);
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowLeft");
    await hasRows(page, ["1 build-7", "1 deploy-2"]);
    // In the order of the rows.
    await page.keyboard.press("e");
    await hasText(selected(page).locator(".name"), "check");
    await page.keyboard.press("e");
    await hasText(selected(page).locator(".name"), "copy");
    await hasRows(page, ["1 build-7", "2 release", "3 compile", "2 check", "1 deploy-2", "2 upload", "3 copy"]);
    await page.keyboard.press("ArrowLeft");
    await page.keyboard.press("ArrowLeft");
    await page.keyboard.press("ArrowLeft");
    await hasText(page.locator(".panel h2"), "deploy-2");
    await page.getByRole("button", { name: "Collapse all" }).click();
    await hasRows(page, ["1 build-7", "1 deploy-2"]);
  });
});

test("a filter leaves the lanes in which something was found", async () => {
  const { tree } = await release();
  await onPage(`${tree.address}?lanes=host&filter=copy`, (page) => hasRows(page, ["1 deploy-2", "2 upload", "3 copy"]));
});

test("lanes come and grow while the work runs, and what is read stays where it is", async () => {
  const tree = new Tree("spreading");
  const steps = Array.from({ length: 60 }, (_, index) => tree.start(`step ${index}`, tree.id, 100 + index));
  await deploy.send(...steps);
  await build.send(tree.own);
  await open(`${tree.address}?lanes=worker&process=${steps[50].id}`, async (page) => {
    await hasText(page.locator(".connection"), "live");
    await hasText(selected(page).locator(".name"), "step 50");
    const place = async () => (await selected(page).boundingBox())?.y;
    const before = await place();
    const above = Array.from({ length: 40 }, (_, index) => tree.start(`above ${index}`, tree.id, 10 + index));
    await build.send(...above);
    const third = await new Worker({ hostname: "late-3", program: "late", pid: 3 }).online();
    const late = tree.start("late", steps[59].id, 500);
    await third.send(late);
    await page.waitForFunction(() => document.querySelector(".tree .scroller").getAttribute("aria-rowcount") === "105");
    assert.equal(await place(), before);
    await page.keyboard.press("End");
    await hasText(selected(page).locator(".name"), "late");
    await hasText(selected(page).locator(".from .name"), "step 59");
    await third.send(tree.end(late, 5));
    await deploy.send(...steps.map((step) => tree.end(step, 5)));
    await build.send(...above.map((step) => tree.end(step, 5)), tree.end(tree.own, 900));
  });
});

test("on a phone lanes are chosen and read as well", async () => {
  const { tree } = await release();
  await open(
    `${tree.address}?lanes=host`,
    async (page) => {
      await page.getByRole("button", { name: "Close the panel" }).click();
      await hasRows(page, ["1 build-7", "2 release", "3 compile", "2 check", "1 deploy-2", "2 upload", "3 copy"]);
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360);
      await page.getByRole("combobox", { name: "Lanes" }).selectOption("tree");
      await hasRows(page, ["1 release", "2 compile", "2 upload", "3 copy", "3 check"]);
    },
    { viewport: { width: 360, height: 740 } },
  );
});

test("a lane that is not there says so", async () => {
  const { tree } = await release();
  await onPage(`${server}/tasks/${tree.rootId}?lanes=host&process=%40nowhere%25`, (page) => hasText(page.locator(".panel h2"), "This lane no longer exists."));
});
