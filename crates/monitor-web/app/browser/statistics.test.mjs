/** Statistics: by name, over time, and the processes in a box of the heat map. */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { hasAddress, hasText, onPage, useBrowser } from "./browser.mjs";
import { newId, server, Tree, Worker } from "./events.mjs";

useBrowser();
const name = `counted ${newId()}`;
const slow = [];
before(async () => {
  const worker = await new Worker().online();
  const tree = new Tree("many");
  const events = [tree.own];
  for (let index = 0; index < 30; index += 1) {
    const one = tree.start(name, tree.id, index * 100);
    const took = index % 10 === 0 ? 5000 + index : 10;
    if (took > 1000) slow.push(one.id);
    events.push(one, tree.end(one, took, index % 15 === 0 ? { message: `row ${index} of "x" is bad` } : undefined));
  }
  await worker.send(...events, tree.end(tree.own, 9000));
});

test("a name has its figures, and a box drawn in the map lists exactly what is in it", () =>
  onPage(`${server}/tasks/statistics?range=1h&q=${encodeURIComponent(name)}`, async (page) => {
    const row = page.locator(".by-name tbody tr");
    await hasText(row.locator("td").nth(0), "30");
    await hasText(row.locator("td").nth(1), "6.7% (2)");
    await hasText(row.locator("td").nth(3), /^5\.\d s$/);
    await row.getByRole("button").click();
    await hasAddress(page, /name=counted/);
    await hasText(page.locator(".errors .number").first(), "2");
    await hasText(page.locator(".errors .shape").first(), /^row .* of .* is bad$/);
    assert.equal(await page.locator(".plot canvas").count(), 2);

    const canvas = page.locator(".heat canvas");
    await page.waitForFunction(() => document.querySelector(".tools .outlined") !== null);
    const box = await canvas.boundingBox();
    await page.mouse.move(box.x + 2, box.y + 2);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 4);
    await page.mouse.move(box.x + box.width - 2, box.y + box.height / 2);
    await page.mouse.up();
    await page.waitForFunction(() => document.querySelectorAll(".runs li").length === 3);
    const links = await page.locator(".runs li a").evaluateAll((found) => found.map((link) => new URL(link.href).searchParams.get("process")));
    assert.deepEqual(links.sort(), [...slow].sort());
  }));

test("all charts have the same labelled times, which begin with the data", () =>
  onPage(`${server}/tasks/statistics?range=1h&name=${encodeURIComponent(name)}`, async (page) => {
    await page.locator('.stats-parts[data-ready="true"]').waitFor();
    const charts = await page.locator(".axes").evaluateAll((found) => found.map((axes) => [".values", ".times"].map((axis) => [...axes.querySelectorAll(`${axis} span`)].map((label) => label.textContent))));
    assert.equal(charts.length, 3);
    for (const [values, times] of charts) {
      assert.ok(new Set(values).size >= 3, `${values}`);
      assert.ok(new Set(times).size >= 3, `${times}`);
      assert.deepEqual(times, charts[0][1]);
    }
    // The processes ended within two minutes: an hour would be labelled every 10 or 15 minutes.
    const [first, second] = charts[0][1].map((time) => Number(time.slice(3)));
    assert.ok((second - first + 60) % 60 <= 3, `${charts[0][1]}`);
    await hasText(page.locator(".tools > .number"), /^\d{4}-\d\d-\d\d \d\d:\d\d – \d{4}-.* · data since \d\d-\d\d \d\d:\d\d$/);
    // The dates of the text are those that were asked for.
    const [from, to] = (await page.locator(".tools > .number").textContent()).match(/\d{4}-\d\d-\d\d \d\d:\d\d/g).map((time) => Date.parse(time));
    assert.equal(to - from, 3_600_000);
  }));

test("a chart shows its values at the pointer beside the names", () =>
  onPage(`${server}/tasks/statistics?range=1h&name=${encodeURIComponent(name)}`, async (page) => {
    await page.locator('.stats-parts[data-ready="true"]').waitFor();
    for (const [index, names, values] of [[0, "succeeded  failed", /^succeeded \d+ failed \d+ \d\d-\d\d \d\d:\d\d$/], [1, "P50  P95", /^P50 (\S+ \S+|–) P95 (\S+ \S+|–) \d\d-\d\d \d\d:\d\d$/]]) {
      const legend = page.locator(".chart .legend").nth(index);
      const text = async () => (await legend.textContent()).replaceAll("\u2009", " ");
      assert.equal((await text()).trim(), names);
      await page.locator(".chart .plot .u-over").nth(index).hover();
      await hasText(legend, values);
      await page.locator("h1").hover();
      await legend.locator("b").first().waitFor({ state: "detached" });
    }
  }));

test("without data there is a command that makes some", () =>
  onPage("about:blank", async (page) => {
    await page.route("**/api/v1/stats/series?*", async (route) => {
      const answer = await (await route.fetch()).json();
      await route.fulfill({ json: { ...answer, series: [] } });
    });
    await page.goto(`${server}/tasks/statistics?range=1h`);
    await hasText(page.locator(".stats .notice h2"), "Nothing completed in this time.");
    await hasText(page.locator(".stats .notice pre"), "monitor run -- sleep 3");
    assert.equal(await page.locator(".stats :is(canvas, table)").count(), 0);
    // Of one name there is nothing either, but others can be chosen.
    await page.goto(`${server}/tasks/statistics?range=1h&name=${encodeURIComponent(name)}`);
    await page.locator(".by-name").waitFor();
    assert.equal(await page.locator(".stats .notice").count(), 0);
  }));

test("what lies in a box is searched for a while, and further only if that is wanted", () =>
  onPage("about:blank", async (page) => {
    let asked = 0;
    await page.route("**/api/v1/processes?*", (route) => {
      asked += 1;
      return route.fulfill({ json: { processes: [], next_cursor: `${asked}`, as_of: 1 } });
    });
    await page.goto(`${server}/tasks/statistics?range=1h&name=${encodeURIComponent(name)}`);
    await page.locator('.stats-parts[data-ready="true"]').waitFor();
    await page.locator(".heat canvas").focus();
    await page.keyboard.press("ArrowRight");
    for (let row = 0; row < 45; row += 1) await page.keyboard.press(row < 22 ? "ArrowUp" : "Shift+ArrowDown");
    for (let column = 0; column < 60; column += 1) await page.keyboard.press("Shift+ArrowLeft");
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "Continue: 20,000 searched" }).click();
    await page.getByRole("button", { name: "Continue: 40,000 searched" }).waitFor();
    assert.equal(asked, 40);
  }));

test("the map is used by keys alone", () =>
  onPage(`${server}/tasks/statistics?range=1h&name=${encodeURIComponent(name)}`, async (page) => {
    const canvas = page.locator(".heat canvas");
    await page.locator('.stats-parts[data-ready="true"]').waitFor();
    await canvas.focus();
    await page.keyboard.press("ArrowRight");
    await hasText(page.locator(".heat [role=status]"), /took .* and ended between/);
    await page.keyboard.press("Shift+ArrowLeft");
    await page.keyboard.press("Enter");
    await page.locator(".runs").waitFor();
    await page.keyboard.press("Escape");
    await page.locator(".runs").waitFor({ state: "detached" });
  }));

test("what the server refuses is said where it belongs", () =>
  onPage(
    "about:blank",
    async (page) => {
      await page.route("**/api/v1/stats/series?*", (route) => route.fulfill({ status: 400, contentType: "application/problem+json", json: { title: "Bad Request", status: 400, detail: "parameter `from`: too early" } }));
      await page.goto(`${server}/tasks/statistics`);
      await hasText(page.locator(".notice .detail"), "parameter `from`: too early");
      await page.locator(".by-name").waitFor();
    },
    { expected: /status of 400/ },
  ));
