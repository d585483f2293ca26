/** A day of batch tasks: planned and actual times, crowded minutes, and the links of each mark. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { skip, until, withAgent } from "./agent.mjs";
import { hasAddress, hasText, onPage, useBrowser } from "./browser.mjs";
import { Worker, dayOf, newId, runOf, server, taskOf, yesterdayUs as yesterday } from "./events.mjs";

useBrowser();

const HOUR = 3_600_000_000;
const options = { timezoneId: "UTC" };

test("a day has what was planned and what became of it, told apart by shape and words, and leads to runs and definitions", async () => {
  const [task, agent] = [`gold-${newId()}`, `agent-${newId()}`];
  const decision = (type, hour, rest) => ({ type, time_us: yesterday + hour * HOUR, task, agent, version: 1, ...rest });
  const events = [
    taskOf(task, agent, "0 * * * *"),
    ...runOf(task, agent, yesterday + HOUR, 1.5 * HOUR, "succeeded"),
    ...runOf(task, agent, yesterday + 4 * HOUR, HOUR, "failed"),
    decision("run-skipped", 2, { due_us: yesterday + 2 * HOUR, reason: "overlap", blocked_by: `${task}@x.1` }),
    decision("run-missed", 10, { first_due_us: yesterday + 6 * HOUR, last_due_us: yesterday + 9 * HOUR, count: 4, reason: "agent-down" }),
    ...Array.from({ length: 6 }, (_, at) => taskOf(`${task}-${at}`, agent, "30 3 * * *")),
  ];
  await (await new Worker().online()).sendAll(events);
  const address = `${server}/tasks/batch?tab=day&q=${task}&day=${dayOf(yesterday)}`;
  await onPage(address, async (page) => {
    const lane = page.locator(`[data-lane="${task}"]`);
    await hasText(page.locator(".lane-agent"), agent);
    assert.equal(await lane.locator('.bar[data-kind="succeeded"]').count(), 1);
    assert.equal(await lane.locator('.sign[data-kind="missed"]').count(), 4);
    assert.equal(await lane.locator('.sign[data-kind="skipped"] [data-decision="skipped"]').count(), 1);
    // Due times without a report from an agent.
    assert.ok((await lane.locator('.sign[data-kind="unknown"]').count()) > 10);
    await hasText(page.locator('.sums [data-kind="missed"]'), /missed 4/);
    await hasText(page.locator(".crowds"), /6 start at 03:30: spread them with H/);
    await hasText(page.locator(".filters"), /UTC/);
    // One and a half hours of 24, and its plan above it.
    const bar = lane.locator('.bar[data-kind="succeeded"]');
    const [width, whole] = await Promise.all([bar, lane.locator(".track")].map((of) => of.evaluate((element) => element.getBoundingClientRect().width)));
    assert.ok(Math.abs(width / whole - 1.5 / 24) < 0.01, `${width} of ${whole}`);
    await bar.focus();
    await hasText(page.locator(".day-details"), /01:00:00 succeeded 1 h 30 m schedule/);
    await page.keyboard.press("ArrowRight");
    await hasText(page.locator(".day-details"), /02:00:00 skipped the previous run was still running/);
    await page.keyboard.press("ArrowDown");
    await hasText(page.locator(".day-details"), new RegExp(`${task}-0.*03:30:00 unknown`));
    await page.keyboard.press("ArrowUp");
    await page.keyboard.press("Home");
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("Enter");
    await hasAddress(page, /run=gold-/);
    await page.getByRole("complementary").getByRole("link", { name: "Process tree" }).waitFor();
    await page.keyboard.press("Escape");
    await hasText(page.locator(".day-details"), /01:00:00 succeeded/);
    await page.getByRole("button", { name: "The day before" }).click();
    await hasAddress(page, new RegExp(`day=${dayOf(yesterday - 24 * HOUR)}`));
    await page.getByRole("button", { name: "Today" }).click();
    await page.locator(".now").waitFor();
    // Today may have no due times left.
    await page.getByRole("button", { name: "The day after" }).click();
    await page.locator('[data-kind="will-start"]').first().waitFor();
    await lane.getByRole("link", { name: task, exact: true }).click();
    await hasText(page.locator("h1"), task);
  }, { ...options, expected: /status of 503/ });
  await onPage(address, async (page) => {
    await hasText(page.locator('.sums [data-kind="missed"]'), /错过 4/);
    await hasText(page.locator(".crowds"), /03:30 有 6 个同时启动：用 H 错开/);
  }, { ...options, locale: "zh-CN", viewport: { width: 360, height: 740 } });
  for (const wrong of ["day=x", "day=2026-02-30", "day=99999-01-01", `day=${dayOf(yesterday)}&agent=nobody`]) {
    await onPage(`${server}/tasks/batch?tab=day&q=${task}&${wrong}`, async (page) => {
      await page.locator(".day-chart, .notice").first().waitFor();
    }, options);
  }
});

test("a task of every five seconds takes no more room than any other", async () => {
  const [task, agent] = [`every-${newId()}`, `agent-${newId()}`];
  const runs = Array.from({ length: 3000 }, (_, at) => runOf(task, agent, yesterday + at * 5_000_000, 1_000_000, at === 1500 ? "failed" : "succeeded")).flat();
  await (await new Worker().online()).sendAll([taskOf(task, agent, "@every 5s"), ...runs]);
  await onPage(`${server}/tasks/batch?tab=day&q=${task}&day=${dayOf(yesterday)}`, async (page) => {
    const lane = page.locator(`[data-lane="${task}"]`);
    await hasText(page.locator('.sums [data-kind="succeeded"]'), /2,999/);
    // 17,280 due times in total; for the rest of the day no agent has reported.
    await hasText(page.locator('.sums [data-kind="unknown"]'), /14,2\d\d/);
    assert.ok((await lane.locator(".bar, .sign").count()) <= 5);
    await lane.locator('.bar[data-kind="succeeded"]').focus();
    await page.getByRole("link", { name: "All 2,999 runs" }).or(page.getByRole("link", { name: "All 2999 runs" })).click();
    await page.locator("tr[data-run]").first().waitFor();
    assert.equal(await page.locator('tr[data-state="failed"]').count(), 0);
  }, options);
});

test("what runs grows, and what a real agent has decided is there", { skip }, async () => {
  const task = `long-${newId()}`;
  await withAgent({ [task]: 'shell = "exec sleep 600"\nrules = ["@every 2s"]' }, async (agent) => {
    await until(`batch-tasks/runs?task=${task}`, ({ runs }) => runs.find(({ outcome }) => outcome === "running"));
    await onPage(`${server}/tasks/batch?tab=day&agent=${agent.name}`, async (page) => {
      const bar = page.locator(`[data-lane="${task}"] .bar[data-kind="running"]`);
      await bar.waitFor();
      const width = () => bar.evaluate((element) => parseFloat(element.style.width));
      const before = await width();
      await page.waitForFunction(([name, least]) => parseFloat(document.querySelector(`[data-lane="${name}"] .bar[data-kind="running"]`).style.width) > least, [task, before]);
      // Each due time in the meantime is skipped, because the first run is still running.
      await page.locator('.sums [data-kind="skipped"]').waitFor();
      await bar.click();
      await hasText(page.locator(".run-panel .state-line"), /running/);
    });
    const run = await until(`batch-tasks/runs?task=${task}`, ({ runs }) => runs[0]);
    process.kill(await pidOf(run.root_id), "SIGKILL");
  });
});

/** The pid of the command of a run. */
async function pidOf(root) {
  const found = await until(`roots/${root}/tree`, ({ processes }) => processes.find(({ fields }) => fields?.pid !== undefined));
  return Number(found.fields.pid);
}
