/** Interpretation of a run's end by the agent, for each way to end: the page shows the same, in both languages. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { skip, until, withAgent } from "./agent.mjs";
import { hasText, onPage, useBrowser } from "./browser.mjs";
import { newId, server } from "./events.mjs";

useBrowser();

const { MONITOR_TEST_MONITOR: monitor } = process.env;
/** A command that runs until it is killed. */
const STAYS = 'shell = "exec sleep 1000"';
/** Definition, exit code, state, and text of the reason. */
const ROWS = {
  good: ['shell = "true"', 0, "succeeded", "", ""],
  warns: ['shell = "exit 24"\nexit = { 24 = "warn" }', 24, "succeeded", "", ""],
  exits: ['shell = "echo no >&2; exit 7"', 7, "failed", "", ""],
  signal: ['shell = "kill -KILL $$"', 137, "failed", "ended by a signal", "被信号终止"],
  hook: ['shell = "true"\nhooks = { before = ["false"] }', 90, "failed", "a hook failed", "钩子失败"],
  lacks: ['shell = "echo some"\nexpect = { output-has = "done" }', 91, "failed", "did not meet its expectation", "未达到预期"],
  killed: [STAYS, 92, "cancelled", "stopped by a user or by the next run", "被人或下一次运行终止"],
  long: ['command = ["sleep", "1000"]\nkill-after = "100ms"', 93, "failed", "ran longer than kill-after", "运行超过 kill-after"],
  lost: [STAYS, 94, "lost", "its end is unknown", "结束情况未知"],
  unkept: ['shell = "echo > $MONITOR_PUBLISH_DIR/a; rm -rf history; echo > history"', 96, "failed", "its files could not be saved", "文件未能保存"],
  cpu: ['shell = "while :; do :; done"\nlimits = { cpu = "1s" }', 97, "failed", "used too much CPU time", "CPU 时间超限"],
  unstarted: ['shell = "true"\nuser = "nobody-of-this-name"', 125, "failed", "could not be started", "无法启动"],
  refused: ['command = ["/etc/passwd"]', 126, "failed", "its command can’t be executed", "命令无法执行"],
  absent: ['command = ["/no/such/program"]', 127, "failed", "its command was not found", "找不到命令"],
};

/** Kills the launcher of a run, its helper and its command. */
function lose(agent, run) {
  const found = spawnSync("pgrep", ["-f", join(agent.folder, "data", "runs", run)]).stdout.toString().split("\n").filter(Boolean);
  const children = found.flatMap((pid) => spawnSync("pgrep", ["-P", pid]).stdout.toString().split("\n").filter(Boolean));
  assert.ok(found.length >= 2, `launcher and helper of ${run}: ${found}`);
  spawnSync("kill", ["-9", ...new Set([...found, ...children])]);
}

test("each way in which a run ends has its result code and reason on the page", { skip }, async () => {
  const mark = newId().slice(0, 6);
  const tasks = Object.fromEntries(Object.entries(ROWS).map(([task, [rest]]) => [`${task}-${mark}`, rest]));
  await withAgent(tasks, async (agent) => {
    const ask = (...args) => spawnSync(monitor, ["task", ...args], { env: { ...process.env, MONITOR_AGENT_DATA: join(agent.folder, "data") } });
    await until("batch-tasks?limit=200", ({ tasks }) => tasks.filter(({ name }) => name.endsWith(mark)).length === Object.keys(ROWS).length);
    for (const task of Object.keys(tasks)) {
      const started = ask("run", task);
      assert.equal(started.status, 0, started.stderr.toString());
    }
    const runOf = (task, isThere) => until(`batch-tasks/runs?task=${task}-${mark}`, ({ runs }) => runs.find(isThere));
    await runOf("killed", ({ outcome }) => outcome === "running");
    assert.equal(ask("kill", `killed-${mark}`).status, 0);
    lose(agent, (await runOf("lost", ({ outcome }) => outcome === "running")).run);
    for (const [task, [, code, state]] of Object.entries(ROWS)) {
      await runOf(task, (run) => run.outcome === state && run.result_code === code);
    }
    for (const [locale, place, words] of [["en-US", 3, (code) => `exit ${code}`], ["zh-CN", 4, (code) => `退出码 ${code}`]]) {
      for (const [task, row] of Object.entries(ROWS)) {
        const [, code, state] = row;
        const said = [code === 0 ? "" : words(code), row[place]].filter(Boolean).join(" · ");
        await onPage(
          `${server}/tasks/batch?tab=runs&task=${task}-${mark}`,
          async (page) => {
            await hasText(page.locator("tr[data-run]"), new RegExp(said));
            assert.equal(await page.locator("tr[data-run]").getAttribute("data-state"), state, task);
          },
          { locale },
        );
      }
    }
  });
});
