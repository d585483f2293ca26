/** Filters that match nothing because of a mistake, runs of a worker by its name, and addresses that belong to no screen. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hasAddress, hasText, onPage, row, useBrowser } from "./browser.mjs";
import { newId, server, Tree, Worker } from "./events.mjs";

useBrowser();
const unique = newId();
const refused = { expected: /status of 400/ };

test("runs of a worker are found by its host, and new ones join them", async () => {
  const [here, there] = [new Worker({ hostname: `here-${unique}`, program: "nightly" }), new Worker({ hostname: `there-${unique}` })];
  const [one, other, late] = ["first", "other", "late"].map((name) => new Tree(`${name} ${unique}`));
  await here.send(one.own, one.end(one.own, 5));
  await there.send(other.own, other.end(other.own, 5));
  await onPage(`${server}/tasks`, async (page) => {
    const field = page.locator(".filters .field");
    for (const named of [`here-${unique}`, `nightly@here-${unique}`, `n*@here-${unique}`]) {
      await field.fill(`worker:${named}`);
      await row(page, one).waitFor();
      await row(page, other).waitFor({ state: "detached" });
    }
    await hasAddress(page, /worker=/);
    await here.send(late.own);
    await row(page, late).waitFor();
  });
});

test("a state, a key and a worker that do not exist are said below the filters", async () => {
  const tree = new Tree(`exit:3 ${unique}`);
  const worker = await new Worker().online();
  await worker.send(tree.own, tree.end(tree.own, 5));
  await onPage(
    `${server}/tasks?state=bogus`,
    async (page) => {
      const said = page.locator(".filter-mistakes p");
      await hasText(said.first(), /no state “bogus”.*pending.*lost, retrying$/);
      const field = page.locator(".filters .field");
      await page.locator(".filters .clear").click();
      await said.first().waitFor({ state: "detached" });
      await field.fill(`exit:3 ${unique}`);
      await hasText(said.first(), /^“exit:” is no filter, so it is searched as text/);
      await row(page, tree).waitFor();
      await field.fill(`worker:nowhere-${unique}`);
      await hasText(said.first(), new RegExp(`there is no worker "nowhere-${unique}"`));
      assert.equal(await page.locator(".notice .detail").count(), 0);
      await field.fill("");
      await said.first().waitFor({ state: "detached" });
    },
    refused,
  );
});

test("an address of no screen says so, and settings are found under their name", () =>
  onPage(
    `${server}/tasks/no-such-thing`,
    async (page) => {
      await hasText(page.locator(".notice h1"), "There is nothing at this address.");
      await hasText(page.locator(".notice .mono"), "/tasks/no-such-thing");
      await page.locator(".notice").getByRole("link", { name: "All runs" }).click();
      await hasAddress(page, /\/tasks$/);
      await page.goto(`${server}/tasks/one/two/three`);
      await hasText(page.locator(".notice h1"), "There is nothing at this address.");
      await page.goto(`${server}/tasks/settings`);
      await hasText(page.locator(".head-bar h1"), "Settings");
      await hasAddress(page, /\/tasks\/about$/);
    },
    refused,
  ));

test("rail and head are there before any script, and without scripts the plain page is offered", async () => {
  await onPage(
    "about:blank",
    async (page) => {
      await page.route(/\/assets\/.*\.js$/, (route) => route.abort());
      await page.goto(`${server}/tasks`, { waitUntil: "domcontentloaded" });
      await hasText(page.locator(".rail .brand"), "Process Monitor");
      const rail = await page.locator(".rail").boundingBox();
      assert.deepEqual([rail.x, rail.width], [0, 208]);
    },
    { expected: /ERR_FAILED|Failed to load/ },
  );
  await onPage(
    "about:blank",
    async (page) => {
      await page.goto(`${server}/tasks`);
      await page.getByRole("link", { name: /Plain page/ }).click();
      await hasAddress(page, /\?plain$/);
      await page.locator("main table, main p").first().waitFor();
    },
    { javaScriptEnabled: false },
  );
});
