/**
 * Batch tasks, alerts, mutes and heartbeats follow the stream: changes by other users appear automatically, and nothing is requested while
 * nothing changes.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { hasText, onPage, useBrowser } from "./browser.mjs";
import { Worker, alertOf, batchTask, newId, server } from "./events.mjs";

const { MONITOR_TEST_MONITOR: program, MONITOR_TEST_DATA: data } = process.env;
const skip = program && data ? false : "MONITOR_TEST_MONITOR and MONITOR_TEST_DATA, the program `monitor` and the server's data folder, are not set";
useBrowser();

let token;

/** Runs a command as another user would. */
function monitor(...args) {
  const run = (...all) => {
    const done = spawnSync(program, all, { env: { ...process.env, MONITOR_SERVER_URL: server, MONITOR_TOKEN: token ?? "" } });
    assert.equal(done.status, 0, `monitor ${all.join(" ")}: ${done.stderr}`);
    return done.stdout.toString().trim();
  };
  token ??= run("token", "create", `live-${newId()}`, "--scope", "admin", "--data", data);
  return run(...args);
}

/** Creates a task with a failed run, and its alert. It is due in half a day, so that an hour of simulated time changes nothing. */
async function failedTask() {
  const task = `zinc-${newId()}`;
  const [changed, ...runs] = batchTask(task, "ada");
  Object.assign(changed.definition, { rules: [`0 ${(new Date().getUTCHours() + 12) % 24} * * *`], zone: "UTC" });
  const failed = runs.filter(({ outcome }) => outcome === "failed");
  const started = runs.filter(({ id, type }) => type === "process-started" && id === failed[0].id);
  const worker = await new Worker().online();
  await worker.send(changed, ...started, ...failed);
  return { task, worker, alert: await alertOf(task) };
}

/**
 * Opens a screen with a simulated clock. After `shown` is visible and all data was read, one hour passes without any request to `path`.
 * Then `others` changes data, and `changed` becomes visible.
 */
async function follows(address, path, shown, others, changed) {
  await onPage("about:blank", async (page) => {
    await page.clock.install();
    const [asked, open] = [[], new Set()];
    const isOf = (request) => new URL(request.url()).pathname.startsWith(`/api/v1/${path}`);
    page.on("request", (request) => isOf(request) && asked.push(request.url()) && open.add(request));
    for (const end of ["requestfinished", "requestfailed"]) page.on(end, (request) => open.delete(request));
    await page.goto(`${server}${address}`);
    await shown(page).waitFor();
    // The stream has reported the current state, of which the alerts come last; the resulting requests are sent within one second.
    await page.locator("[data-connection=live]").first().waitFor({ state: "attached" });
    await page.locator("a.entry[title=Alerts] .badge").waitFor();
    let before;
    do {
      before = asked.length;
      await page.clock.runFor(5000);
      await page.waitForFunction(() => new Promise(requestAnimationFrame));
    } while (asked.length > before || open.size > 0);
    await page.clock.fastForward("01:00:00");
    await page.clock.runFor(15_000);
    assert.deepEqual(asked.slice(before), [], "nothing changed, and nothing is asked for");
    await others();
    const deadline = Date.now() + 60_000;
    while ((await changed(page).count()) === 0) {
      assert.ok(Date.now() < deadline, `${address}: what others changed did not appear`);
      await page.clock.runFor(500);
    }
  });
}

test("a batch task that somebody pauses, and a hush, a heartbeat and an acknowledgement of others appear by themselves", { skip }, async () => {
  const { task, worker, alert } = await failedTask();
  const taskRow = (page) => page.locator(`tr[data-task="${task}"]`);
  const pause = { type: "batch-task-changed", time_us: Date.now() * 1000, task, version: 2, status: "paused", who: "ada", agent: "agent-1" };
  await follows("/tasks/batch", "batch-tasks", taskRow, () => worker.send(pause), (page) => page.locator(`tr[data-task="${task}"][data-status=paused]`));

  const alertRow = (page) => page.locator(`tr[data-alert="${alert.id}"]`);
  await follows("/tasks/alerts", "alerts", alertRow, () => monitor("alert", "ack", String(alert.id)), (page) => alertRow(page).getByText("acknowledged by"));

  const none = (page) => page.locator(".notice").first();
  await follows("/tasks/alerts?tab=hushes", "alerts/hushes", none, () => monitor("alert", "maintenance", "add", `task:${task}`, "--for", "1h"), (page) => page.locator("tr[data-hush]", { hasText: task }));

  // No event reports the end of a mute.
  await onPage(`${server}/tasks/alerts?tab=hushes`, async (page) => {
    const short = `task:short-${newId()}`;
    monitor("alert", "maintenance", "add", short, "--for", "3s");
    const hush = page.locator("tr[data-hush]", { hasText: short });
    await hush.waitFor();
    await hush.waitFor({ state: "detached" });
  });

  const heartbeat = `job-${newId()}`;
  await follows("/tasks/alerts?tab=heartbeats", "heartbeats", none, () => monitor("heartbeat", "add", heartbeat, "--every", "5m"), (page) => page.locator("tr[data-heartbeat]", { hasText: heartbeat }));
});

test("a heartbeat whose last run failed says so, although it pings in time", { skip }, async () => {
  const name = `job-${newId()}`;
  const [url] = monitor("heartbeat", "add", name, "--every", "5m").split("\n");
  await fetch(url);
  await onPage(`${server}/tasks/alerts?tab=heartbeats`, async (page) => {
    const row = page.locator("tr", { hasText: name });
    await hasText(row.locator("td.state"), "up");
    await hasText(row.locator(".rhythm"), "every 5 minutes");
    await fetch(`${url}/fail`, { method: "POST", body: "disk full" });
    await hasText(row.locator("td.state"), "last run failed");
    await row.locator('.sign [data-state="failed"]').waitFor();
    await fetch(url);
    await hasText(row.locator("td.state"), "up");
  });
});

test("a list is read again after its reading failed, though nothing changes", { skip }, async () => {
  await onPage(
    "about:blank",
    async (page) => {
      await page.clock.install();
      let isBusy = true;
      const problem = { type: "about:blank", title: "Service Unavailable", status: 503, detail: "the test is busy" };
      await page.route(/\/api\/v1\/alerts\/hushes/, (route) => (isBusy ? route.fulfill({ status: 503, contentType: "application/problem+json", body: JSON.stringify(problem) }) : route.continue()));
      await page.goto(`${server}/tasks/alerts?tab=hushes`);
      const notice = page.getByText(problem.detail);
      await notice.waitFor();
      isBusy = false;
      const deadline = Date.now() + 60_000;
      while ((await notice.count()) > 0) {
        assert.ok(Date.now() < deadline, "it is not read again");
        await page.clock.runFor(1000);
      }
    },
    { expected: /503/ },
  );
});
