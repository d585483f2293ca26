/** Failing commands: the line with the reason, and attempts. Run by the real launcher. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { hasText, onPage, useBrowser } from "./browser.mjs";
import { newId, server } from "./events.mjs";

useBrowser();
const monitor = process.env["MONITOR_TEST_MONITOR"];
const skip = monitor === undefined && "without MONITOR_TEST_MONITOR";

const run = (name, options, script) =>
  spawn(monitor, ["run", "--name", name, ...options, "--", "sh", "-c", script], { env: { ...process.env, MONITOR_SERVER_URL: server }, stdio: "ignore" });

const row = (page, name) => page.locator(".root", { hasText: name });

test("a row says why a command failed, and its page shows its output once", { skip }, async () => {
  const name = `fetch ${newId()}`;
  const child = run(name, [], "echo '[ok] step 3' >&2; printf 'Traceback (most recent call last):\\n  File \"x.py\", line 5, in fetch\\nTimeoutError: no answer\\n' >&2; exit 1");
  await once(child, "exit");
  await onPage(`${server}/tasks?q=${encodeURIComponent(name)}`, async (page) => {
    await hasText(row(page, name).locator(".why"), "TimeoutError: no answerexit code 1");
    await row(page, name).locator(".title").click();
    const failure = page.locator(".one .failure");
    await hasText(failure.locator(".message"), "TimeoutError: no answerexit code 1");
    // The log contains the end of the output, so that it is not shown a second time.
    await hasText(page.locator(".one .log .message").last(), "TimeoutError: no answer");
    const lines = await page.locator(".one .log").evaluateAll((rows) => rows.map((each) => [each.querySelector(".stream").textContent, each.querySelector(".message").textContent]));
    assert.deepEqual(lines, ["[ok] step 3", "Traceback (most recent call last):", '  File "x.py", line 5, in fetch', "TimeoutError: no answer"].map((line) => ["stderr", line]));
    assert.equal(await failure.locator(".tail").count(), 0);
  });
});

test("a script fails by the command that ended it, in the list and in its tree, not by one that it answered for", { skip }, async () => {
  const name = `probe ${newId()}`;
  const child = run(name, ["--inject", "shell"], "bash -c 'false || true; ls /nope'");
  await once(child, "exit");
  await onPage(`${server}/tasks?q=${encodeURIComponent(name)}`, async (page) => {
    await hasText(row(page, name).locator(".why"), /\/nope/);
    await row(page, name).locator(".title").click();
    await hasText(page.locator('.node[aria-selected="true"] .mark-only .hidden'), "failed");
    // The command itself tells only its exit code; what it wrote is the reason of the script.
    await hasText(page.locator(".panel h2"), name);
    await hasText(page.locator(".panel .failure .message"), /cannot access.*\/nope.*exit code 2/);
  });
});

test("what waits for its next attempt is retrying, and every attempt has its error and its log", { skip }, async () => {
  const name = `import ${newId()}`;
  const child = run(name, ["--retry", "2", "--backoff", "1h"], "echo first try; echo no table >&2; exit 3");
  try {
    await onPage(`${server}/tasks?q=${encodeURIComponent(name)}`, async (page) => {
      await hasText(row(page, name).locator(".attempt-now"), /^attempt 1 of 3 · next in \d/);
      await hasText(row(page, name).locator(".mark-cell"), /retrying/);
      await hasText(row(page, name).locator(".why"), "no tableexit code 3");
      // A tab lists waiting runs and shows their number, also on the page without scripts.
      await page.goto(`${server}/tasks`);
      const tab = page.getByRole("button", { name: /^retrying/ });
      await hasText(tab, /^retrying [1-9]/);
      await tab.click();
      await page.waitForURL(/state=retrying/);
      await row(page, name).waitFor();
      assert.deepEqual([...new Set(await page.locator(".root[data-root]").evaluateAll((rows) => rows.map((each) => each.dataset.state)))], ["retrying"]);
      const plain = await (await fetch(`${server}/tasks?plain&state=retrying`)).text();
      assert.ok(plain.includes(name) && plain.includes("state=retrying\">"), plain);
      await row(page, name).locator(".title").click();
      await hasText(page.locator(".root-header .attempt-now"), /^attempt 1 of 3 · next in \d/);
      const attempts = page.locator(".one .attempts");
      await attempts.getByRole("button").first().click();
      await hasText(attempts.locator(".message"), "no tableexit code 3");
      await hasText(attempts.locator("pre"), /first try/);
    });
  } finally {
    child.kill("SIGTERM");
    await once(child, "exit");
  }
  await onPage(`${server}/tasks?q=${encodeURIComponent(name)}`, async (page) => {
    await hasText(row(page, name).locator(".mark-cell"), /failed/);
    assert.equal(await row(page, name).locator(".attempt-now").count(), 0);
  });
});

test("the time axis of a run that waits for its next attempt ends now", { skip }, async () => {
  const name = `axis ${newId()}`;
  const child = run(name, ["--retry", "1", "--backoff", "1h", "--inject", "shell"], "bash -c 'ls /tmp; exit 3'");
  try {
    await onPage(`${server}/tasks?q=${encodeURIComponent(name)}`, async (page) => {
      await hasText(row(page, name).locator(".attempt-now"), /^attempt 1 of 2/);
      await row(page, name).locator(".title").click();
      await page.locator(".node").nth(1).waitFor();
      await hasText(page.locator(".tree-head .axis span").last(), /^[\d.]+ s$/);
    });
  } finally {
    child.kill("SIGTERM");
    await once(child, "exit");
  }
});

test("the first of several attempts says which one of how many it is, and an only one says nothing", { skip }, async () => {
  const unique = newId();
  const several = run(`several ${unique}`, ["--retry", "2"], "exec sleep 600");
  const only = run(`only ${unique}`, [], "exec sleep 600");
  try {
    await onPage(`${server}/tasks?q=${unique}`, async (page) => {
      await hasText(row(page, `several ${unique}`).locator(".attempt-now"), "attempt 1 of 3");
      await row(page, `only ${unique}`).waitFor();
      assert.equal(await row(page, `only ${unique}`).locator(".attempt-now").count(), 0);
      await row(page, `several ${unique}`).locator(".title").click();
      await hasText(page.locator(".root-header .attempt-now"), "attempt 1 of 3");
      await hasText(page.locator(".panel .attempt-now"), "attempt 1 of 3");
    });
  } finally {
    for (const child of [several, only]) {
      child.kill("SIGTERM");
      await once(child, "exit");
    }
  }
});

/** `1 m 02 s` and `2.1 s` in seconds. */
function seconds(text) {
  const units = { d: 86_400, h: 3600, m: 60, s: 1, ms: 1e-3, µs: 1e-6 };
  return [...text.matchAll(/([\d.,]+)\s?(ms|µs|[dhms])/g)].reduce((sum, [, value, unit]) => sum + Number(value.replaceAll(",", "")) * units[unit], 0);
}

test("start and duration of a run with several attempts are those of all of it", { skip }, async () => {
  const name = `twice ${newId()}`;
  const folder = await mkdtemp(join(tmpdir(), "attempts-"));
  const child = run(name, ["--retry", "1", "--backoff", "1s"], `mkdir ${join(folder, "tried")} && exit 3; exit 0`);
  await once(child, "exit");
  await rm(folder, { recursive: true });
  await onPage(
    `${server}/tasks?q=${encodeURIComponent(name)}`,
    async (page) => {
      await row(page, name).and(page.locator('[data-state="succeeded"]')).waitFor();
      const id = await row(page, name).getAttribute("data-root");
      const { processes } = await (await fetch(`${server}/api/v1/roots/${id}/tree`)).json();
      const [first, last] = processes[0].attempts;
      const wholeS = (last.ended_us - first.started_us) / 1e6;
      // The last attempt alone is shorter, because the launcher waited one second before it.
      assert.ok(wholeS - (last.ended_us - last.started_us) / 1e6 >= 1, JSON.stringify(processes[0].attempts));
      const startsThen = (text) => assert.ok(text.includes(new Date(first.started_us / 1000).toISOString().slice(0, 23).replace("T", " ")), `${text} ${first.started_us}`);
      // At least two significant digits are shown.
      const tookThat = async (of) => assert.ok(Math.abs(seconds(await of.innerText()) - wholeS) <= wholeS / 20, `${await of.innerText()} ${wholeS}`);
      const started = row(page, name).locator(".started > span");
      await started.hover();
      startsThen(await started.getAttribute("title"));
      await tookThat(row(page, name).locator(".duration .number"));
      await row(page, name).locator(".title").click();
      await tookThat(page.locator(".root-header .facts .number").first());
      await page.getByRole("button", { name: "Details" }).click();
      startsThen(await page.locator(".panel dt:text-is('Started') + dd").innerText());
      await tookThat(page.locator(".panel dt:text-is('Duration') + dd"));
    },
    { timezoneId: "UTC" },
  );
});
