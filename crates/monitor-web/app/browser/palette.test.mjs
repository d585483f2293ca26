/** The groups of the command palette, its keys, its actions and the alerts in it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hasAddress, hasText, onPage, useBrowser, useWorker } from "./browser.mjs";
import { alertOf, batchTask, newId, server, Tree } from "./events.mjs";

useBrowser();
const unique = newId();
const worker = useWorker();

/** Opens the palette and waits until everything is found for the text. */
const ask = async (page, text) => {
  await page.keyboard.press("Control+k");
  await page.locator(".palette input").fill(text);
  await page.locator('.palette [role="listbox"][aria-busy="false"]').waitFor();
};

test("entries are in groups with headings, the typed text is emphasised, and keys pass from group to group", async () => {
  const tree = new Tree(`Grouped ${unique}`);
  await worker.send(tree.own, tree.end(tree.own, 10));
  await onPage(`${server}/tasks/workers`, async (page) => {
    await hasText(page.locator(".connection"), "live");
    await ask(page, `grouped ${unique}`);
    const groups = () => page.getByRole("group").filter({ has: page.getByRole("option") }).evaluateAll((found) => found.map((group) => [document.getElementById(group.getAttribute("aria-labelledby")).textContent, group.querySelectorAll("[role=option]").length]));
    assert.deepEqual(await groups(), [["Names", 1], ["Runs", 1]]);
    assert.deepEqual(await page.locator(".palette .text mark").allTextContents(), [`Grouped ${unique}`, `Grouped ${unique}`]);
    assert.notEqual(await page.locator(".palette mark").first().evaluate((mark) => getComputedStyle(mark).fontWeight), await page.locator(".palette .text").first().evaluate((text) => getComputedStyle(text).fontWeight));

    const input = page.locator(".palette input");
    const active = async () => page.locator(`[id="${await input.getAttribute("aria-activedescendant")}"][aria-selected="true"]`).locator("xpath=..").getAttribute("aria-labelledby");
    assert.equal(await active(), "choices-names");
    await page.keyboard.press("ArrowDown");
    assert.equal(await active(), "choices-runs");
    // The last one is the end.
    await page.keyboard.press("ArrowDown");
    assert.equal(await active(), "choices-runs");
    await page.keyboard.press("ArrowUp");
    assert.equal(await active(), "choices-names");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await hasAddress(page, new RegExp(`/tasks/${tree.rootId}`));
    await page.keyboard.press("Control+k");
    await page.locator(".palette").waitFor();
    await page.keyboard.press("Escape");
    await page.locator(".palette").waitFor({ state: "detached" });
  });
});

test("a firing alert is found by its subject and its error, and leads to its own page", async () => {
  const task = `alerted-${unique}`;
  // Its latest run failed.
  const [changed, , , ...failed] = batchTask(task, "ada");
  await worker.send(changed, ...failed.slice(0, 2));
  const alert = await alertOf(task);
  assert.equal(alert.state, "firing");
  await onPage(`${server}/tasks/workers`, async (page) => {
    await hasText(page.locator(".connection"), "live");
    await ask(page, `no prices ${task}`);
    const found = page.getByRole("group", { name: "Firing alerts" }).getByRole("option");
    await hasText(found, new RegExp(`^${task}.*no prices`));
    assert.equal(await found.count(), 1);
    await found.click();
    await hasAddress(page, new RegExp(`/tasks/alerts\\?alert=${alert.id}$`));
    await hasText(page.locator("h1"), task);
    // So does the list.
    await page.getByRole("link", { name: "All alerts", exact: true }).click();
    await page.locator(`tr[data-alert="${alert.id}"] .subject a`).click();
    await hasAddress(page, new RegExp(`/tasks/alerts\\?alert=${alert.id}$`));
  });
});

test("a batch task is run by its action, but not by its name alone", async () => {
  const task = `started-${unique}`;
  await worker.send(...batchTask(task, "ada"));
  await onPage("about:blank", async (page) => {
    let asked = 0;
    await page.route("**/api/v1/me", (route) => route.fulfill({ json: { user: "ada", role: "operator", scopes: ["read", "operate"], how: "session" } }));
    await page.route("**/api/v1/batch-tasks/*/run", (route) => {
      asked += 1;
      return route.fulfill({ json: {} });
    });
    await page.goto(`${server}/tasks/workers`);
    await hasText(page.locator(".connection"), "live");
    await ask(page, task);
    await hasText(page.locator('.palette [aria-selected="true"] .text'), task);
    await page.getByRole("option", { name: `Run ${task} now` }).waitFor();
    await page.keyboard.press("Enter");
    await hasAddress(page, new RegExp(`/tasks/batch\\?task=${task}$`));
    assert.equal(asked, 0);
    await ask(page, `run ${task}`);
    await hasText(page.locator('.palette [aria-selected="true"] .text'), `Run ${task} now`);
    await page.keyboard.press("Enter");
    await hasText(page.locator('[role="status"].hidden'), `${task} was asked to run.`);
    assert.equal(asked, 1);
  });
});
