/** Alerts: what fires, why, what was decided, and what an operator does about it. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { hasText, onPage, useBrowser } from "./browser.mjs";
import { Worker, batchTask, newId, server } from "./events.mjs";

const { MONITOR_TEST_MONITOR: monitor, MONITOR_TEST_DATA: data } = process.env;
const skip = monitor && data ? false : "MONITOR_TEST_MONITOR and MONITOR_TEST_DATA, the program `monitor` and the server's data folder, are not set";
useBrowser();

/** The alert about a task, once there is one. */
async function alertOf(task) {
  for (;;) {
    const { alerts } = await (await fetch(`${server}/api/v1/alerts?subject=task:${task}`)).json();
    if (alerts[0]) return alerts[0];
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

test("a task that fails fires an alert, which an operator looks after and resolves", { skip }, async () => {
  const [user, password, task] = [`joan-${newId()}`, "correct horse battery", `copper-${newId()}`];
  const added = spawnSync(monitor, ["user", "add", user, "--role", "operator", "--data", data], { input: `${password}\n` });
  assert.equal(added.status, 0, added.stderr.toString());
  const [changed, ...runs] = batchTask(task, "ada");
  const failed = runs.filter(({ outcome }) => outcome === "failed");
  const started = runs.filter(({ id, type }) => type === "process-started" && id === failed[0].id);
  await (await new Worker().online()).send(changed, ...started, ...failed);
  const alert = await alertOf(task);
  await onPage(`${server}/tasks/alerts`, async (page) => {
    const row = page.locator(`tr[data-alert="${alert.id}"]`);
    await hasText(row, /exit 3/);
    await hasText(page.locator(".refused").first(), /Only operators may do this/);
    assert.equal(await row.getByRole("button", { name: "Acknowledge" }).getAttribute("aria-disabled"), "true");
    await page.getByRole("link", { name: "Rules and channels" }).click();
    await hasText(page.locator('tr[data-rule="failed"]'), /built in/);
    await page.locator('tr[data-rule="failed"]').getByRole("button").click();
    await hasText(page.locator(".said"), /failed: would have fired \d+ times? in 7 days/);
    await page.getByRole("link", { name: "Heartbeats" }).click();
    await page.locator("tr[data-heartbeat], .notice pre").first().waitFor();
  });
  await onPage(`${server}/login?next=${encodeURIComponent(`/tasks/alerts?alert=${alert.id}`)}`, async (page) => {
    await page.locator("input[name=name], input[name=user], input[type=text]").first().fill(user);
    await page.locator("input[type=password]").fill(password);
    await page.locator("form button").first().click();
    await hasText(page.locator("h1"), new RegExp(task));
    await page.getByRole("button", { name: "Acknowledge" }).click();
    await hasText(page.locator("dd", { hasText: user }), new RegExp(user));
    await page.getByRole("button", { name: "Snooze 2 h" }).click();
    await page.getByRole("link", { name: "Alerts", exact: true }).first().click();
    await page.getByRole("link", { name: "Hushes" }).click();
    const hush = page.locator("tr[data-hush]", { hasText: `alert:${alert.id}` });
    await hush.getByRole("button", { name: "End" }).click();
    await hush.waitFor({ state: "detached" });
    await page.getByRole("link", { name: "Firing" }).click();
    await page.locator(`tr[data-alert="${alert.id}"]`).getByRole("button", { name: "Resolve" }).click();
    await page.locator(`tr[data-alert="${alert.id}"]`).waitFor({ state: "detached" });
    await page.getByRole("link", { name: "History" }).click();
    await page.locator(`tr[data-alert="${alert.id}"][data-state="resolved"]`).waitFor();
  });
});
