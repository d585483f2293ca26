/** Alerts: active alerts, causes, decisions, and the actions of an operator. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { hasText, onPage, useBrowser } from "./browser.mjs";
import { Worker, alertOf, batchTask, newId, server } from "./events.mjs";

const { MONITOR_TEST_MONITOR: monitor, MONITOR_TEST_DATA: data } = process.env;
const skip = monitor && data ? false : "MONITOR_TEST_MONITOR and MONITOR_TEST_DATA, the program `monitor` and the server's data folder, are not set";
useBrowser();

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
    await page.getByRole("link", { name: "Rules", exact: true }).click();
    await hasText(page.locator('[data-rule="failed"]'), /built in.*If a run fails, notify the owner\./s);
    await hasText(page.locator('[data-rule="failed"] .tried'), /would have fired \d+ times? in 7 days: /);
    await page.getByRole("link", { name: "Heartbeats" }).click();
    await page.locator("tr[data-heartbeat], .notice pre").first().waitFor();
  });
  await onPage(`${server}/login?next=${encodeURIComponent(`/tasks/alerts?alert=${alert.id}`)}`, async (page) => {
    await page.locator("input[name=name], input[name=user], input[type=text]").first().fill(user);
    await page.locator("input[type=password]").fill(password);
    await page.locator("form button").first().click();
    await hasText(page.locator("h1"), new RegExp(task));
    await hasText(page.locator(".unreached"), /The owner ada can't be reached/);
    await page.getByRole("button", { name: "Acknowledge" }).click();
    await hasText(page.locator("dd", { hasText: user }), new RegExp(user));
    await page.getByRole("button", { name: "Snooze 2 h" }).click();
    await page.getByRole("link", { name: "All alerts", exact: true }).click();
    await page.getByRole("link", { name: "Silences" }).click();
    const hush = page.locator("tr[data-hush]", { hasText: `alert:${alert.id}` });
    await hush.getByRole("button", { name: "End" }).click();
    await hush.waitFor({ state: "detached" });
    await page.getByRole("link", { name: "Firing" }).click();
    await page.locator(`tr[data-alert="${alert.id}"]`).getByRole("button", { name: "Resolve" }).click();
    await page.locator(`tr[data-alert="${alert.id}"]`).waitFor({ state: "detached" });
    await page.getByRole("link", { name: "History" }).click();
    await page.locator(`tr[data-alert="${alert.id}"][data-state="resolved"]`).waitFor();
  });
  for (const [locale, words] of [
    ["en-US", [/firing/, /the owner can't be reached: the administrators are notified/, /acknowledged/, new RegExp(`resolved.*${user} marked it as resolved`)]],
    ["zh-CN", [/触发/, /无法通知负责人，已改为通知管理员/, /已认领/, new RegExp(`已解除.*${user} 已将其解除`)]],
  ]) {
    await onPage(
      `${server}/tasks/alerts?alert=${alert.id}`,
      async (page) => {
        const notes = page.locator("section[aria-labelledby=alert-notes]");
        await notes.waitFor();
        for (const decided of words) await hasText(notes, decided);
      },
      { locale },
    );
  }
});

test("the count of firing alerts stands in the header of every screen, and follows without a request", { skip }, async () => {
  const task = `tin-${newId()}`;
  const [changed, ...runs] = batchTask(task, "ada");
  const failed = runs.filter(({ outcome }) => outcome === "failed");
  const started = runs.filter(({ id, type }) => type === "process-started" && id === failed[0].id);
  await onPage(`${server}/tasks/workers`, async (page) => {
    const entry = page.locator(".rail .entry", { hasText: "Alerts" });
    await entry.waitFor();
    const count = async () => Number((await entry.locator(".badge [aria-hidden]").allTextContents())[0] ?? 0);
    const asked = [];
    page.on("request", (request) => request.url().includes("/api/v1/alerts") && asked.push(request.url()));
    const { alerts } = await (await fetch(`${server}/api/v1/alerts?state=firing&limit=1000`)).json();
    await page.waitForFunction((expected) => Number(document.querySelector('.rail .entry[href="/tasks/alerts"] .badge [aria-hidden]')?.textContent ?? 0) === expected, alerts.length);
    const before = await count();
    await (await new Worker().online()).send(changed, ...started, ...failed);
    await page.waitForFunction((expected) => Number(document.querySelector('.rail .entry[href="/tasks/alerts"] .badge [aria-hidden]')?.textContent ?? 0) === expected, before + 1);
    assert.deepEqual(asked, []);
  });
});

test("a browser that was asked notifies once of an alert, and of none that it shows", { skip }, async () => {
  const fail = async (task) => {
    const [changed, ...runs] = batchTask(task, "ada");
    const failed = runs.filter(({ outcome }) => outcome === "failed");
    await (await new Worker().online()).send(changed, ...runs.filter(({ id, type }) => type === "process-started" && id === failed[0].id), ...failed);
    return alertOf(task);
  };
  await onPage("about:blank", async (page, context) => {
    await context.grantPermissions(["notifications"], { origin: server });
    // A browser without a window shows no notifications, so the page's calls are recorded instead.
    await context.addInitScript(() => {
      window.notified = [];
      const Real = window.Notification;
      window.Notification = class {
        static get permission() {
          return "granted";
        }
        static requestPermission() {
          window.asked = (window.asked ?? 0) + 1;
          return Promise.resolve("granted");
        }
        constructor(title, { body, tag }) {
          window.notified.push({ title, body, tag });
        }
      };
      void Real;
    });
    await page.goto(`${server}/tasks/alerts`);
    await page.getByRole("button", { name: "Notify me on this computer" }).waitFor();
    assert.equal(await page.evaluate(() => window.asked), undefined, "nobody is asked by itself");
    const silent = await fail(`iron-${newId()}`);
    await page.locator(`tr[data-alert="${silent.id}"]`).waitFor();
    await page.getByRole("button", { name: "Notify me on this computer" }).click();
    await page.getByText("This browser notifies you").waitFor();
    const shown = await fail(`zinc-${newId()}`);
    await page.locator(`tr[data-alert="${shown.id}"]`).waitFor();
    assert.deepEqual(await page.evaluate(() => window.notified), [], "what the tab shows needs no notification");
    await page.goto(`${server}/tasks/workers`);
    await page.locator(".rail .badge").first().waitFor();
    const told = await fail(`lead-${newId()}`);
    await page.waitForFunction(() => window.notified.length > 0);
    const notified = await page.evaluate(() => window.notified);
    assert.deepEqual(notified.map(({ tag }) => tag), [`alert-${told.id}`]);
    assert.match(notified[0].title, /^task:lead-/);
    assert.match(notified[0].body, /exit 3/);
  });
});

test("history has a lane of outages for each subject", { skip }, async () => {
  const task = `ore-${newId()}`;
  const [changed, ...runs] = batchTask(task, "ada");
  const failed = runs.filter(({ outcome }) => outcome === "failed");
  await (await new Worker().online()).send(changed, ...runs.filter(({ id, type }) => type === "process-started" && id === failed[0].id), ...failed);
  await alertOf(task);
  await onPage(`${server}/tasks/alerts?tab=history`, async (page) => {
    const lane = page.locator(`[data-lane="task:${task}"]`);
    await lane.locator(".outage.firing").waitFor();
    assert.match(await lane.locator(".track").getAttribute("aria-label"), /^1 outage, /);
    await page.getByRole("button", { name: "1 day" }).click();
    await lane.getByRole("link").click();
    await page.waitForFunction(() => document.querySelectorAll("tr[data-alert]").length === 1);
    await page.getByRole("link", { name: "Clear" }).click();
    await page.waitForFunction(() => !location.search.includes("subject"));
  });
});

test("a rule is tried before it holds, and its mistakes have their places", { skip }, async () => {
  await onPage(
    `${server}/tasks/alerts?tab=rules`,
    async (page) => {
      const text = page.locator(".draft textarea");
      await text.fill('[[rule]]\nname = "any"\non = { cause = ["failed"], task = "*" }\n');
      await page.getByRole("button", { name: "Try on the past 7 days" }).click();
      await hasText(page.locator('[data-tried="any"] .tried'), /would (have fired \d+ times? in 7 days:|not have fired)/);
      await text.fill('[[rule]]\nname = "any"\non = { cause = ["faild"] }\n');
      assert.equal(await page.locator("[data-tried]").count(), 0, "what is shown belongs to what is written");
      await page.getByRole("button", { name: "Try on the past 7 days" }).click();
      await hasText(page.locator(".draft .said.bad"), /3:17.*did you mean failed/);
    },
    { expected: /400 \(Bad Request\)/ },
  );
});

test("an admin adds a heartbeat and rolls its key, and each key is shown once with what a job does", { skip }, async () => {
  const [user, password, name] = [`rosa-${newId()}`, "correct horse battery", `backup-${newId().slice(-6)}`];
  const added = spawnSync(monitor, ["user", "add", user, "--role", "admin", "--data", data], { input: `${password}\n` });
  assert.equal(added.status, 0, added.stderr.toString());
  await onPage(
    `${server}/login?next=${encodeURIComponent("/tasks/alerts?tab=heartbeats")}`,
    async (page) => {
      await page.locator("input[name=name], input[name=user], input[type=text]").first().fill(user);
      await page.locator("input[type=password]").fill(password);
      await page.locator("form button").first().click();
      const begin = () => page.getByRole("button", { name: "New heartbeat" }).click();
      await begin();
      await page.getByLabel("Name of the job").fill(name);
      await page.getByLabel("Interval").fill("30 2 * * *");
      await page.getByLabel("Time zone").fill("Europe/Berlin");
      await page.getByRole("button", { name: "Add", exact: true }).click();
      const key = page.locator(`[data-key="${name}"]`);
      const url = await key.locator(".url").textContent();
      assert.match(url, /\/ping\/[0-9a-f-]{36}$/);
      assert.equal((await fetch(url)).status, 200);
      for (const [language, words] of [["sh", "curl -fsS"], ["python", "urllib"], ["powershell", "Invoke-RestMethod"], ["crontab", "30 2 * * * your-command"], ["systemd", "ExecStopPost"]]) {
        await key.getByRole("combobox").selectOption(language);
        const text = await key.locator("pre").textContent();
        assert.ok(text.includes(words) && text.includes(url) && !/\bURL\b|RULE/.test(text), `${language}: ${text}`);
      }
      const row = page.locator("tr[data-heartbeat]", { has: page.getByRole("rowheader", { name, exact: true }) });
      await row.getByRole("button", { name: "Rotate key" }).click();
      await page.waitForFunction((old) => document.querySelector(".key .url")?.textContent !== old, url);
      await hasText(key, /The old address works until/);
      const rolled = await key.locator(".url").textContent();
      await key.getByRole("combobox").selectOption("crontab");
      assert.ok((await key.locator("pre").textContent()).includes("30 2 * * * your-command"), "the rule is that of the heartbeat");
      await page.reload();
      await row.waitFor();
      assert.equal(await page.locator(".key").count(), 0, "it is shown once");
      await begin();
      await page.getByLabel("Name of the job").fill(`${name}-poll`);
      await page.getByLabel("Interval").fill("10m");
      await page.getByRole("button", { name: "Add", exact: true }).click();
      const poll = page.locator(`[data-key="${name}-poll"]`);
      await poll.getByRole("combobox").selectOption("crontab");
      assert.ok((await poll.locator("pre").textContent()).includes("*/10 * * * * your-command"));
      await page.goto(`${server}/tasks/alerts?tab=heartbeats`);
      await row.waitFor();

      // The texts of pings are the log of their run.
      for (const [path, body] of [["/start", ""], ["/log", "reading prices"], ["/3", "no prices"]]) {
        assert.equal((await fetch(rolled + path, { method: "POST", body })).status, 200);
      }
      await page.goto(`${server}/tasks/batch?tab=runs&task=${name}`);
      const failed = page.locator('tr[data-run][data-state="failed"]');
      await failed.getByRole("link", { name: /^Log/ }).click();
      await hasText(page.locator(".run-log"), /reading prices.*no prices/s);
      assert.equal(await page.locator(".run-panel").getByRole("button", { name: "Run again" }).count(), 0, "its job runs elsewhere");
      await page.goto(`${server}/tasks/alerts?tab=heartbeats`);
      await begin();
      await page.getByLabel("Name of the job").fill(name);
      await page.getByLabel("Interval").fill("1d");
      await page.getByRole("button", { name: "Add", exact: true }).click();
      await hasText(page.locator(".said.bad"), /already/);
    },
    { expected: /409 \(Conflict\)/ },
  );
});
