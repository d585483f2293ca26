/** Comparison of two roots. */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { hasAddress, hasText, onPage, useBrowser } from "./browser.mjs";
import { newId, Tree, Worker } from "./events.mjs";

useBrowser();
const name = `compared ${newId()}`;
let worker;
let good;
let bad;
before(async () => {
  worker = await new Worker().online();
  good = run(0, false);
  bad = run(1000, true);
  // A later successful run is not used as the last successful run before an earlier failure.
  await worker.send(...good.events, ...bad.events, ...run(2000, false).events);
});

function run(atMs, fails) {
  const tree = new Tree(name);
  tree.startUs += atMs * 1000;
  tree.own = { ...tree.own, time_us: tree.startUs };
  const fetch = tree.start("fetch", tree.id, 10);
  const parse = tree.start("parse", tree.id, 200);
  const row = tree.start("row", parse.id, 210);
  const events = [tree.own, fetch, tree.end(fetch, fails ? 150 : 50), parse, row, tree.log(row.id, 215, "info", `row ${atMs}`)];
  if (fails) events.push(tree.log(row.id, 218, "error", "no such table"), tree.end(row, 9, { message: "no such table" }), tree.end(parse, 20, { message: "row failed" }));
  else events.push(tree.log(row.id, 219, "info", "stored"), tree.end(row, 10), tree.end(parse, 20));
  if (fails) {
    const clean = tree.start("clean up", tree.id, 300);
    events.push(clean, tree.end(clean, 5));
  } else {
    const publish = tree.start("publish", tree.id, 300);
    events.push(publish, tree.end(publish, 5));
  }
  events.push(tree.end(tree.own, 400, fails ? { message: "failed" } : undefined));
  return { tree, events, row };
}

const listed = (page) => page.locator(".difference").evaluateAll((rows) => rows.map((row) => `${row.dataset.change} ${row.querySelector(".name").textContent}`));

test("a failed root is compared with the last good one of its name before it", () =>
  onPage(`${bad.tree.address}?tab=compare`, async (page) => {
    await hasText(page.locator(".compare-bar select"), /Last good run/);
    await page.locator(".difference").first().waitFor();
    assert.deepEqual(await listed(page), ["failing row", `failing ${name}`, "failing parse", "new clean up", "gone publish", "slower fetch"]);
    const chosen = await page.locator(".compare-bar select").inputValue();
    assert.equal(chosen, good.tree.rootId);
    for (const key of ["ArrowDown", "ArrowDown", "ArrowDown", "Enter"]) await page.keyboard.press(key);
    await hasText(page.locator(".panel h2"), "parse");
    await hasText(page.locator(".first-line .before"), "− info stored");
    await hasText(page.locator(".first-line .after"), /^\+ error no such table/);

    await page.getByRole("button", { name: /^slower/ }).click();
    await page.waitForFunction(() => document.querySelectorAll(".difference").length === 1);
    assert.deepEqual(await listed(page), ["slower fetch"]);
    await page.locator(".difference button").first().click();
    await hasText(page.locator(".panel h2"), "fetch");
  }));

test("both trees stand side by side, what is the same only if it is wanted, and the view is a link", () =>
  onPage(`${bad.tree.address}?tab=compare&view=tree`, async (page) => {
    await page.locator('.pair[data-change="gone"]').waitFor();
    const sides = () => page.locator(".pair").evaluateAll((rows) => rows.map((row) => [...row.querySelectorAll(".side")].map((side) => side.querySelector(".name")?.textContent ?? "").join(" | ")));
    assert.deepEqual(await sides(), [`${name} | ${name}`, "fetch | fetch", "parse | parse", "row | row", " | clean up", "publish | "]);
    const focused = () => page.evaluate(() => document.activeElement.closest(".pair")?.textContent);
    for (const key of ["ArrowDown", "ArrowDown", "ArrowDown", "ArrowLeft"]) await page.keyboard.press(key);
    assert.match(await focused(), /parse/);
    await page.locator(".pair").filter({ hasText: "row" }).waitFor({ state: "detached" });
    await page.keyboard.press("ArrowRight");
    await page.locator(".pair").filter({ hasText: "row" }).waitFor();
    await page.keyboard.press("End");
    assert.match(await focused(), /publish/);
    await page.keyboard.press("Home");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await hasText(page.locator(".panel h2"), "fetch");
    await page.locator(".compare-bar form input").fill(good.tree.rootId);
    await page.keyboard.press("Enter");
    await hasAddress(page, new RegExp(`with=${good.tree.rootId}`));
    await page.reload();
    await page.locator(".pair").first().waitFor();
  }));

test("logs that are too long to compare whole say so", () =>
  onPage("about:blank", async (page) => {
    await page.route("**/logs?*", async (route) => {
      const answer = await (await route.fetch()).json();
      await route.fulfill({ json: { ...answer, logs: answer.logs.slice(0, 1), next_cursor: "more" } });
    });
    await page.goto(`${bad.tree.address}?tab=compare`);
    await hasText(page.locator(".first-line"), "Only the first 10,000 lines of each run were compared.");
  }));

test("what is folded stays so while a tree grows above it", async () => {
  const tree = new Tree(name);
  const parse = tree.start("parse", tree.id, 200);
  const row = tree.start("row", parse.id, 210);
  await worker.send(tree.own, parse, row);
  await onPage(`${tree.address}?tab=compare&view=tree&with=${good.tree.rootId}`, async (page) => {
    await page.getByRole("checkbox", { name: "Show unchanged processes too" }).check();
    const parsed = page.locator(".pair").filter({ hasText: "parse" });
    await parsed.getByRole("button", { name: "Collapse" }).first().click();
    await page.locator(".pair").filter({ hasText: "row" }).waitFor({ state: "detached" });
    await hasText(page.locator(".connection"), "live");
    const early = tree.start("early", tree.id, 1);
    await worker.send(early, tree.end(early, 1));
    await page.locator(".pair").filter({ hasText: "early" }).waitFor();
    assert.equal(await page.locator(".pair").filter({ hasText: "row" }).count(), 0);
    await worker.send(tree.end(tree.own, 5));
  });
});

test("what can't be compared says so", async () => {
  const alone = new Tree(`alone ${newId()}`);
  await worker.send(alone.own, alone.end(alone.own, 5));
  await onPage(`${alone.address}?tab=compare`, (page) => hasText(page.locator(".compare .notice"), /^No earlier run of this name succeeded/));
  await onPage(`${alone.address}?tab=compare&with=999999999`, (page) => hasText(page.locator(".compare .notice .detail"), /there is no run 999999999/), { expected: /status of 404/ });
});
