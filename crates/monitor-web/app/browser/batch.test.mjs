/** Batch tasks: the list, filtered runs, and one task. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { skip, until, withAgent } from "./agent.mjs";
import { hasText, onPage, useBrowser } from "./browser.mjs";
import { Worker, batchTask, newId, runOf, server, taskOf, yesterdayUs } from "./events.mjs";

useBrowser();

test("a task is listed with its runs, which are narrowed by what the address says, and opens with its versions", async () => {
  const task = `gold-${newId()}`;
  await (await new Worker().online()).send(...batchTask(task, "ada"));
  const address = `${server}/tasks/batch`;
  await onPage(`${address}?q=${task}`, async (page) => {
    const row = page.locator(`tr[data-task="${task}"]`);
    await hasText(row, /ada/);
    await hasText(row.locator(".schedule"), "02:30 daily, Shanghai");
    assert.match(await row.locator(".agent").getAttribute("title"), /defined in the file/);
    assert.match(await row.locator("svg.outcomes").getAttribute("aria-label"), /5.*1/);
    assert.equal(await row.locator('svg.outcomes path[data-state="failed"]').count(), 1);
    await row.getByRole("link", { name: task }).click();
    await hasText(page.locator("h1"), new RegExp(task));
    await page.locator(".side .next li").first().waitFor();
    assert.equal(await page.locator(".side .next li").count(), 5);
    assert.equal(await page.locator(".bars a").count(), 5);
    const part = (name) => page.locator(".head-tabs").getByRole("link", { name, exact: true }).click();
    await part("Versions");
    await page.locator("li[data-version]").waitFor();
    await part("Definition");
    await hasText(page.locator(".definition pre"), /command = \[ "node", "index\.js" \]/);
    await part("Schedule");
    await page.locator("tr[data-decision]").first().waitFor();
    await part("Runs");
    await page.locator("tr[data-run]").first().waitFor();
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

test("of many tasks all are counted, and rows are added while the reader scrolls", async () => {
  const prefix = `part-${newId()}`;
  const tasks = Array.from({ length: 450 }, (_, index) => `${prefix}-${String(index).padStart(3, "0")}`);
  await (await new Worker().online()).sendAll(tasks.map((task) => taskOf(task, "browser-test", "0 3 * * *")));
  await onPage(`${server}/tasks/batch?q=${prefix}`, async (page) => {
    await hasText(page.locator(".states .number").first(), "450");
    const rows = page.locator("tr[data-task]");
    assert.equal(await rows.count(), 200);
    const last = page.locator(`tr[data-task="${tasks.at(-1)}"]`);
    while ((await last.count()) === 0) {
      await rows.last().scrollIntoViewIfNeeded();
      await page.waitForFunction(() => new Promise(requestAnimationFrame).then(() => true));
    }
    assert.equal(await rows.count(), 450);
    await page.reload();
    await hasText(page.locator(".states .number").first(), "450");
    await page.emulateMedia({ media: "print" });
    await page.waitForFunction(() => document.querySelectorAll("tr[data-task]").length === 450);
  });
});

const { MONITOR_TEST_MONITOR: monitor, MONITOR_TEST_DATA: data } = process.env;

test("an admin makes a task, is told of mistakes where they are, changes it, restores it, orders a run and deletes it", { skip }, async () => {
  const [user, password, task] = [`grace-${newId()}`, "correct horse battery", `silver-${newId()}`];
  const added = spawnSync(monitor, ["user", "add", user, "--role", "admin", "--data", data], { input: `${password}\n` });
  assert.equal(added.status, 0, added.stderr.toString());
  const test = async (page) => {
    const field = (name) => page.getByRole("textbox", { name, exact: true }).or(page.getByRole("combobox", { name, exact: true }));
    const save = page.getByRole("button", { name: "Save", exact: true });
    await page.locator("input[name=name], input[name=user], input[type=text]").first().fill(user);
    await page.locator("input[type=password]").fill(password);
    await page.locator("form button").first().click();
    await page.getByRole("link", { name: "New task" }).click();
    await field("Name").fill(task);
    await field("Command").fill("echo hello");
    await field("Schedule").fill("30 2 * * *");
    await field("Time zone").fill("Europe/Berlin");
    await hasText(page.locator(".side .next"), /02:30:00 Europe\/Berlin/);
    await field("Agents").fill("nobody-there");
    await field("Timeout").fill("30 parsecs");
    await field("More settings").fill("[retri]\ntimes = 3");
    await save.click();
    await hasText(page.locator(".field", { has: page.locator("#batch-timeout") }), /expected a duration/);
    await hasText(page.locator(".edit > .bad"), /did you mean retry\?/);
    await field("Timeout").fill("30m");
    await field("More settings").fill("[retry]\ntimes = 3");
    await save.click();
    await hasText(page.locator("h1"), new RegExp(task));
    const part = (name) => page.locator(".head-tabs").getByRole("link", { name, exact: true }).click();
    await part("Schedule");
    await hasText(page.locator('tr[data-decision="will-start"]'), /will start/);

    await page.getByRole("link", { name: "Edit" }).click();
    await field("Schedule").fill("");
    await save.click();
    await hasText(page.locator("h1"), new RegExp(task));
    await part("Versions");
    await hasText(page.locator('li[data-version="2"]'), /30 2/);
    await page.locator('li[data-version="1"]').getByRole("button", { name: "Restore" }).click();
    await hasText(page.locator('li[data-version="3"]'), /30 2/);

    await page.getByRole("button", { name: "Run now" }).click();
    await hasText(page.locator(".said"), /nobody-there/);
    await page.getByRole("link", { name: "Edit" }).click();
    await page.getByRole("button", { name: "Delete" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await page.waitForURL(/\/tasks\/batch$/);
    await page.locator("tr[data-task], .notice").first().waitFor();
    assert.equal(await page.locator(`tr[data-task="${task}"]`).count(), 0);
  };
  await onPage(`${server}/login?next=%2Ftasks%2Fbatch`, test, { expected: /status of 400/ });
});

test("a definition is rehearsed while it is written, by the real durations of its runs, and nothing is saved", { skip }, async () => {
  const [user, password, task] = [`mary-${newId()}`, "correct horse battery", `slow-${newId()}`];
  const added = spawnSync(monitor, ["user", "add", user, "--role", "admin", "--data", data], { input: `${password}\n` });
  assert.equal(added.status, 0, added.stderr.toString());
  // Each of the 12 runs has taken 40 minutes.
  const minute = 60_000_000;
  const runs = Array.from({ length: 12 }, (_, nth) => runOf(task, "browser-test", yesterdayUs + nth * 120 * minute, 40 * minute, "succeeded"));
  await (await new Worker().online()).sendAll([taskOf(`${task}-of-file`, "browser-test", "@daily"), ...runs.flat()]);
  const texts = { add: "New task", name: "Name", command: "Command", rules: "Schedule", timeout: "Timeout", none: /7\d\d due times in the last 30 days: no overlaps, longest wait none/, overlaps: /1,?4\d\d due times in the last 30 days: 7\d\d overlaps/, skipped: /7\d\d would not start: the previous run was still running/, overtime: /7\d\d runs over the timeout/ };
  const write = async (page) => {
    await page.locator("input[name=name], input[name=user], input[type=text]").first().fill(user);
    await page.locator("input[type=password]").fill(password);
    await page.locator("form button").first().click();
    await page.getByRole("link", { name: texts.add }).click();
    const field = (name) => page.getByRole("textbox", { name, exact: true });
    const lines = page.locator(".rehearsal");
    await field(texts.name).fill(task);
    await field(texts.command).fill("node index.js");
    // Nothing is rehearsed without a rule, or with an invalid rule.
    await field(texts.rules).fill("61 * * * *");
    assert.equal(await lines.count(), 0);
    // Hourly runs don't overlap.
    await field(texts.rules).fill("0 * * * *");
    await hasText(lines, texts.none);
    // With a run every half hour, every second one is skipped because the previous run is still running.
    await field(texts.rules).fill("*/30 * * * *");
    await hasText(lines, texts.overlaps);
    await hasText(lines, texts.skipped);
    await field(texts.timeout).fill("30m");
    await hasText(lines, texts.overtime);
    const saved = await page.evaluate(async (name) => (await fetch(`/api/v1/batch-tasks/${name}`)).status, task);
    assert.equal(saved, 404);
  };
  await onPage(`${server}/login?next=%2Ftasks%2Fbatch`, write, { expected: /status of 40[04]/ });
});

test("agents that are paused or have files with mistakes are told above the tasks", { skip }, async () => {
  const [good, wrong] = [`good-${newId()}`, `wrong-${newId()}`];
  await withAgent({ [good]: 'shell = "true"\nrules = ["@daily"]', [wrong]: 'shell = "true"\n[then]\nfail = ["nobody"]' }, async (agent) => {
    const file = join(agent.folder, "tasks", `${wrong}.toml`);
    const mistake = `${agent.name}: ${file}:4:9: then.fail.0: there is no task nobody`;
    const told = (page, text) => page.locator(".agents li", { hasText: text });
    await until("agents", ({ agents }) => agents.find(({ name, mistakes }) => name === agent.name && mistakes?.length === 1));
    await until(`batch-tasks?q=${good}`, ({ tasks }) => tasks.length === 1);
    await onPage(`${server}/tasks/batch?q=${good}`, async (page) => {
      await hasText(told(page, agent.name), mistake);
      const order = (deed) => {
        const done = spawnSync(monitor, ["task", deed, "--all"], { env: { ...process.env, MONITOR_AGENT_DATA: join(agent.folder, "data") } });
        assert.equal(done.status, 0, done.stderr.toString());
      };
      order("pause");
      await until("agents", ({ agents }) => agents.find(({ name, paused_from_us }) => name === agent.name && paused_from_us));
      await page.reload();
      await hasText(told(page, agent.name), `Agent ${agent.name} is paused: schedules start no runs there.`);
      await hasText(page.locator(`tr[data-task="${good}"] .last`), "paused, because its agent is paused");
      await writeFile(file, `name = "${wrong}"\nshell = "true"\n`);
      order("resume");
      await told(page, agent.name).first().waitFor({ state: "detached" });
    });
  });
});
