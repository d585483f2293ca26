/** Jobs on many hosts: the list, one job with its hosts and their output, a new job, and the hosts. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { test } from "node:test";
import { skip, until } from "./agent.mjs";
import { hasText, onPage, useBrowser } from "./browser.mjs";
import { newId, server } from "./events.mjs";
import { addHosts, asAdmin, JobAgent, startJob } from "./jobs.mjs";
import { addUser, grantJobs, logIn } from "./users.mjs";

useBrowser();

const list = `${server}/tasks/jobs`;
const address = (job) => `${list}?job=${job}`;
const hostRow = (page, name) => page.locator(".host-list tbody tr", { has: page.getByRole("link", { name, exact: true }) });
const isEnded = ({ ended_us }) => ended_us !== null;

test("a job is watched from its start to its end: hosts by outcome, output as it comes, and the tree", { skip }, async () => {
  const [one, two] = [await new JobAgent().connect(), await new JobAgent().connect()];
  const [bare, name] = [`bare-${newId()}`, `check-${newId()}`];
  await addHosts([{ name: bare, ip: "10.0.3.17", tags: { env: "test" } }]);
  const { job_id } = await startJob([one.name, two.name, bare, "nowhere"], { name });
  const key = await one.begin();
  await one.write(key, 0, "used 80%\n");
  await onPage(`${list}?name=${name}`, async (page) => {
    await hasText(page.locator("tr[data-job] .status"), /running/);
    await page.getByRole("link", { name }).click();
    await hasText(page.locator("h1"), name);
    await hasText(page.locator('.host-group[data-status="7"]'), /7 running 1 host/);
    await hasText(page.locator('.host-group[data-status="2"]'), /no such host/);
    await hasText(page.locator('.host-group[data-status="18"]'), /no agent/);
    await hostRow(page, one.name).getByRole("link").click();
    await hasText(page.locator(".host-panel .log-line"), "used 80%");
    await one.write(key, 9, "used 81%\n");
    await hasText(page.locator(".host-panel .log-line").nth(1), "used 81%");
    await one.end(key, 104, { exit_code: 3, reason: "df: no space left", output_bytes: 18 });
    await hasText(page.locator(".host-panel .reason-box b"), "df: no space left");
    await hasText(page.locator(".host-panel .reason-box"), /exit code 3/);
    await two.end(await two.begin(), 9, { exit_code: 0 });
    await hasText(page.locator(".head-bar .state"), /failed/);
    await hasText(page.locator('.host-group[data-status="9"]'), /1 host/);
    await page.keyboard.press("Escape");
    await page.locator(".host-panel").waitFor({ state: "detached" });
    await page.locator(".states [data-state=failed]").click();
    await page.waitForFunction(() => document.querySelectorAll(".host-list tbody tr").length === 2);
    await page.getByRole("link", { name: "Tree", exact: true }).click();
    await page.waitForURL(/\/tasks\/[0-9a-f]{32}/);
  });
});

test("callbacks are listed with their attempts and answers", { skip }, async () => {
  const agent = await new JobAgent().connect();
  // The server may call this address, and no program listens there.
  const { job_id } = await startJob([agent.name], { callback_url: "http://127.0.0.1:9/hooks/7" });
  await onPage(address(job_id), async (page) => {
    const delivery = page.locator('.callbacks li[data-delivery="waiting"]').last();
    await hasText(delivery, /running · attempt \d+ failed, next at .* · 127\.0\.0\.1 is not reached/);
  });
  await agent.end(await agent.begin(), 9, { exit_code: 0 });
});

test("an operator retries the selected host, and the new attempt is shown", { skip }, async () => {
  const agent = await new JobAgent().connect();
  const { job_id } = await startJob([agent.name]);
  await agent.end(await agent.begin(), 104, { exit_code: 1 });
  await until(`jobs/${job_id}`, isEnded);
  const user = addUser("admin");
  await onPage("about:blank", async (page) => {
    await logIn(page, user, address(job_id));
    await hasText(page.locator(".head-bar .primary"), "Retry 1 failed");
    await hostRow(page, agent.name).getByRole("checkbox").check();
    await page.getByRole("button", { name: "Retry 1 host" }).click();
    const key = await agent.begin();
    assert.equal(key.attempt, 2);
    await hasText(page.locator('.host-group[data-status="7"]'), /1 host/);
    await page.getByRole("button", { name: "Stop" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
    await agent.end(key, 9, { exit_code: 0 });
    await hasText(page.locator(".head-bar .state"), /succeeded/);
  });
});

test("an operator with a grant starts a job on its hosts and is refused on others", { skip }, async () => {
  const [agent, other] = [await new JobAgent().connect(), await new JobAgent().connect()];
  const env = `env-${newId()}`;
  await addHosts([{ name: agent.name, tags: { [env]: "test" } }]);
  const user = addUser("operator");
  grantJobs(user, env);
  await onPage("about:blank", async (page) => {
    await logIn(page, user, `${list}?tab=new`);
    const field = (name) => page.getByRole("textbox", { name, exact: true }).or(page.getByRole("combobox", { name, exact: true }));
    await field("Script").fill("#!/bin/sh\ntrue\n");
    await field("Hosts").fill(`${agent.name} ${other.name}`);
    await hasText(page.locator("main"), new RegExp(`may run jobs on hosts with the tags.*${other.name}`));
    await field("Hosts").fill(agent.name);
    await page.getByRole("button", { name: "Start on 1 host" }).click();
    await page.waitForURL(/job=\d+/);
    await agent.end(await agent.begin(), 9);
    await hasText(page.locator('.host-group[data-status="9"]'), /1 host/);
  }, { expected: /403/ });
});

test("a reader without the right is told so, and starts nothing", { skip }, async () => {
  const { job_id } = await startJob(["nobody-there"]);
  await until(`jobs/${job_id}`, isEnded);
  const user = addUser("viewer");
  await onPage("about:blank", async (page) => {
    await logIn(page, user, `${list}?tab=new`);
    await hasText(page.locator(".head-bar .refused"), /Only administrators and users with a grant for jobs may do this/);
    await page.goto(`${list}?tab=hosts`);
    assert.equal(await page.getByRole("button", { name: "Add host" }).getAttribute("aria-disabled"), "true");
  });
});

test("a new job shows who can run it before it starts, and a mistake at its field", { skip }, async () => {
  const [agent, bare] = [await new JobAgent().connect(), `bare-${newId()}`];
  await addHosts([{ name: bare }]);
  const user = addUser("admin");
  await onPage("about:blank", async (page) => {
    await logIn(page, user, `${list}?tab=new`);
    const field = (name) => page.getByRole("textbox", { name, exact: true }).or(page.getByRole("combobox", { name, exact: true }));
    assert.ok(await page.getByRole("button", { name: "Start" }).isDisabled());
    await field("Script").fill("#!/bin/sh\ntrue\n");
    await field("Hosts").fill(`${agent.name} ${bare}`);
    await hasText(page.locator(".preview .unable"), new RegExp(bare));
    await hasText(page.locator(".preview .able"), agent.name);
    await field("Timeout").fill("5 parsecs");
    await page.locator('#job-timeout[aria-invalid="true"]').waitFor();
    await field("Timeout").fill("5m");
    await field("Name").fill(`new ${bare}`);
    await page.getByRole("button", { name: "Start on 1 host" }).click();
    await page.waitForURL(/job=\d+/);
    await hasText(page.locator("h1"), `new ${bare}`);
    await agent.end(await agent.begin(), 9);
    await hasText(page.locator('.host-group[data-status="9"]'), /1 host/);
  }, { expected: /400/ });
});

test("a script for failures starts another job, the two lead to each other, and so does the alert to the job", { skip }, async () => {
  const agent = await new JobAgent().connect();
  const user = addUser("admin");
  const name = `deploy-${newId()}`;
  await onPage("about:blank", async (page) => {
    await logIn(page, user, `${list}?tab=new&host=${agent.name}`);
    const field = (label) => page.getByRole("textbox", { name: label, exact: true });
    await field("Script").fill("#!/bin/sh\nexit 3\n");
    await field("If it has failed").fill("#!/bin/sh\ntrue\n");
    await field("Name").fill(name);
    await page.getByRole("button", { name: "Start on 1 host" }).click();
    await page.waitForURL(/job=\d+/);
    const first = new URL(page.url()).searchParams.get("job");
    await agent.end(await agent.begin(), 104, { exit_code: 3 });
    await page.getByRole("link", { name: /^followed by job \d+$/ }).click();
    await agent.end(await agent.begin(), 9, { exit_code: 0 });
    await hasText(page.locator(".head-bar .state"), /succeeded/);
    await page.getByRole("link", { name: `follows job ${first}` }).click();
    await hasText(page.locator("h1"), name);
    const [alert] = await until(`alerts?subject=job:${name}`, ({ alerts }) => alerts.length > 0 && alerts);
    await page.goto(`${server}/tasks/alerts?alert=${alert.id}`);
    await page.locator(".fact-list").getByRole("link", { name: first, exact: true }).click();
    await hasText(page.locator("h1"), name);
  });
});

test("the script and the outputs by shape are shown, and the job is run again", { skip }, async () => {
  const [one, two] = [await new JobAgent().connect(), await new JobAgent().connect()];
  const user = addUser("admin");
  const name = `again-${newId()}`;
  const steps = [{ script: "#!/bin/sh\ndf \"$1\"\n", args: ["/var/my logs"], env: { UNIT: "KiB" }, secrets: { DB: { file: "/etc/db.key" } }, timeout: "5m" }];
  const { job_id } = await startJob([one.name, two.name], { name, steps });
  const message = JSON.stringify({ status: false, data: [{ module: "disk", item: "/data", status: false, message: "92 % full" }] });
  for (const agent of [one, two]) {
    const key = await agent.begin();
    await agent.write(key, 0, `${message}\n`);
    await agent.end(key, 9, { exit_code: 0, output_bytes: message.length + 1 });
  }
  await until(`jobs/${job_id}`, isEnded);
  await onPage("about:blank", async (page) => {
    await logIn(page, user, address(job_id));
    await page.getByRole("button", { name: "Script", exact: true }).click();
    await hasText(page.locator(".job-script pre"), '#!/bin/sh\ndf "$1"');
    await hasText(page.locator(".job-script dl"), /Arguments\/var\/my logsVariablesUNIT=KiBSecretsDB ← file \/etc\/db\.keyTimeout5m/);
    await page.getByRole("button", { name: "Output by shape" }).click();
    await hasText(page.locator(".job-shapes .shape").last().locator("h2"), "2 hosts with the same output");
    await hasText(page.locator(".job-shapes .messages li").first(), /error disk · \/data · 92 % full/);
    await page.locator(".job-shapes").getByRole("button", { name: two.name }).click();
    await hasText(page.locator(".host-panel h2"), two.name);
    await page.keyboard.press("Escape");
    await page.getByRole("link", { name: "Run as new job" }).click();
    await hasText(page.locator(".new-job"), new RegExp(`Like job ${job_id}\\. Also repeated, without a field here: variables, secrets\\.`));
    const field = (label) => page.getByRole("textbox", { name: label, exact: true }).or(page.getByRole("combobox", { name: label, exact: true }));
    assert.equal(await field("Arguments").inputValue(), "/var/my logs\n");
    await field("Hosts").fill(two.name);
    await page.getByRole("button", { name: "Start on 1 host" }).click();
    await page.waitForURL(/job=\d+/);
    await two.end(await two.begin(), 9);
    await hasText(page.locator(".head-bar .state"), /succeeded/);
    const next = Number(new URL(page.url()).searchParams.get("job"));
    const repeated = await asAdmin("GET", `jobs/${next}/request`);
    assert.deepEqual([repeated.name, repeated.targets, repeated.steps], [name, { hosts: [two.name] }, (await asAdmin("GET", `jobs/${job_id}/request`)).steps]);
  });
});

test("hosts are added, changed and removed", { skip }, async () => {
  const name = `host-${newId()}`;
  const user = addUser("admin");
  await onPage("about:blank", async (page) => {
    await logIn(page, user, `${list}?tab=hosts`);
    const field = (label) => page.getByRole("dialog").getByRole("textbox", { name: label, exact: true });
    await page.getByRole("button", { name: "Add host" }).click();
    await field("Name").fill(name);
    await field("IPv4 address").fill("10.9");
    await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
    await hasText(page.getByRole("dialog").getByRole("alert"), /IPv4 address/);
    await field("IPv4 address").fill("10.9.8.7");
    await field("Tags").fill("env=prod, canary");
    await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
    const row = page.locator(`tr[data-managed="${name}"]`);
    await hasText(row, /no agent.*10\.9\.8\.7/);
    await hasText(row.locator(".chip").last(), "env=prod");
    await page.getByRole("button", { name: `Edit ${name}` }).click();
    await field("Groups").fill("eu-west");
    await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
    await hasText(row.locator(".groups"), "eu-west");
    await page.getByRole("button", { name: `Remove ${name}` }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
    await row.waitFor({ state: "detached" });
  }, { expected: /400/ });
});

test("targets are saved, changed and removed, and a job starts with them", { skip }, async () => {
  const [group, name] = [newId(), `saved-${newId()}`];
  await addHosts([{ name: `a-${group}`, groups: [group] }, { name: `b-${group}`, groups: [group] }]);
  const user = addUser("admin");
  await onPage("about:blank", async (page) => {
    await logIn(page, user, `${list}?tab=hosts`);
    const field = (label) => page.getByRole("dialog").getByRole("textbox", { name: label, exact: true });
    const save = () => page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
    const row = page.locator(`tr[data-saved="${name}"]`);
    await page.getByRole("button", { name: "Save targets" }).click();
    await field("Name").fill(name);
    await save();
    await hasText(page.getByRole("dialog").getByRole("alert"), /they select no host/);
    await field("Groups").fill(group);
    await save();
    await hasText(row.locator(".chosen"), "2 hosts");
    await hasText(row.locator(".selects"), `@${group}`);
    await row.hover();
    await row.getByRole("button", { name: `Edit ${name}` }).click();
    await field("Hosts").fill(`a-${group} x-${group}-*`);
    await save();
    await hasText(row.locator(".chosen"), /no host's name matches/);
    await asAdmin("PUT", `targets/${name}`, { groups: [group], ips: [{ ip: "10.9.9.9", cloud_id: 3 }] });
    await hasText(row.locator(".chosen"), "3 hosts");
    // A change keeps an address of another network, which the form doesn't show.
    await row.getByRole("button", { name: `Edit ${name}` }).click();
    await field("Tags").fill("!canary");
    await save();
    await hasText(row.locator(".selects"), `3:10.9.9.9 @${group} !canary`);
    await row.getByRole("link", { name: `Run a script on ${name}` }).click();
    await page.getByLabel("Script", { exact: true }).fill("true");
    await hasText(page.locator(".preview"), new RegExp(`10.9.9.9.*a-${group}.*b-${group}`, "s"));
    await page.goBack();
    await row.hover();
    await row.getByRole("button", { name: `Remove ${name}` }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
    await row.waitFor({ state: "detached" });
  }, { expected: /400/ });
});

test("hosts of the server's file are marked and not changed here, and its mistakes are shown", { skip }, async () => {
  const name = `filed-${newId()}`;
  const file = process.env.MONITOR_TEST_HOSTS_FILE;
  const user = addUser("admin");
  await onPage("about:blank", async (page) => {
    await logIn(page, user, `${list}?tab=hosts`);
    await writeFile(file, `[host.${name}]\ntags = { env = "test" }\n[targets.${name}]\nhosts = ["${name}"]\n`);
    for (const row of [page.locator(`tr[data-managed="${name}"]`), page.locator(`tr[data-saved="${name}"]`)]) {
      await hasText(row.locator("th .chip"), "file");
      assert.equal(await row.getByRole("link").count(), 1);
      assert.equal(await row.getByRole("button").count(), 0);
    }
    await writeFile(file, `[host.${name}]\nip = 7\n`);
    await hasText(page.getByRole("alert"), /last valid version stays in effect:\n.*hosts\.toml:2: /);
    await writeFile(file, "");
    await page.getByRole("alert").waitFor({ state: "detached" });
    await page.locator(`tr[data-managed="${name}"]`).waitFor({ state: "detached" });
  });
});

test("a job on 1,000 hosts shows each of them once, by keyboard and in Chinese", { skip }, async () => {
  const prefix = `many-${newId()}`;
  await addHosts(Array.from({ length: 1000 }, (_, index) => ({ name: `${prefix}-${index + 1}` })));
  const { job_id } = await startJob([`${prefix}-*`]);
  const { hosts } = await asAdmin("GET", `jobs/${job_id}/hosts?limit=1000`);
  assert.equal(new Set(hosts.map(({ name }) => name)).size, 1000);
  await onPage(address(job_id), async (page) => {
    await hasText(page.locator(".host-group"), /没有代理 1,000|1000 台主机|1,000 台主机/);
    await page.waitForFunction(() => document.querySelectorAll(".squares i").length === 1000);
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("End");
    await page.waitForFunction(() => document.activeElement?.closest("[data-row]")?.getAttribute("data-row") === "999");
    assert.equal(await page.locator(".host-list tbody tr").count(), 1000);
    const last = await page.locator('[data-row="999"]').boundingBox();
    assert.ok(last.y > 0 && last.y + last.height <= 820, `the last row is at ${last.y}`);
    await page.keyboard.press("Enter");
    await hasText(page.locator(".host-panel header h2"), new RegExp(prefix));
  }, { locale: "zh-CN" });
});
