/** Batch tasks: the list, runs by what they are asked for, and one task. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hasText, onPage, useBrowser } from "./browser.mjs";
import { Worker, batchTask, newId, server } from "./events.mjs";

useBrowser();

test("a task is listed with its runs, which are narrowed by what the address says, and opens with its versions", async () => {
  const task = `gold-${newId()}`;
  await (await new Worker().online()).send(...batchTask(task, "ada"));
  const address = `${server}/tasks/batch`;
  await onPage(`${address}?q=${task}`, async (page) => {
    const row = page.locator(`tr[data-task="${task}"]`);
    await hasText(row, /ada/);
    await hasText(row, /by a file/);
    assert.equal(await row.locator("svg rect").count(), 5);
    assert.equal(await row.locator('svg rect[data-state="failed"]').count(), 1);
    await row.getByRole("link", { name: task }).click();
    await hasText(page.locator("h1"), new RegExp(task));
    await page.locator("li[data-version]").waitFor();
    assert.equal(await page.locator(".next li").count(), 5);
    assert.equal(await page.locator("tr[data-run]").count(), 5);
    await page.locator('tr[data-run][data-state="failed"] a').first().click();
    await page.waitForURL(/\/tasks\/[0-9a-f]{32}/);
  });
  await onPage(`${address}?tab=runs&task=${task}&exit=3`, async (page) => {
    await hasText(page.locator("tr[data-run]"), /exit 3 · no prices/);
    assert.equal(await page.locator("tr[data-run]").count(), 1);
    await page.getByRole("textbox", { name: "Exit code" }).fill("");
    await page.waitForFunction(() => document.querySelectorAll("tr[data-run]").length === 5);
  });
  await onPage(`${address}?tab=runs&task=${task}&outcome=failed`, async (page) => {
    await hasText(page.locator("tr[data-run]"), /退出码 3/);
    await hasText(page.getByRole("link", { name: "任务", exact: true }), /任务/);
  }, { locale: "zh-CN" });
});
