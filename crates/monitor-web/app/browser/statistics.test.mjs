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
