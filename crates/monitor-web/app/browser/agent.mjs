/** A real agent for the server under test, with tasks from files. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdtemp, mkdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newId, server } from "./events.mjs";

const { MONITOR_TEST_MONITOR: monitor, MONITOR_TEST_DATA: data } = process.env;
/** Reason for skipping tests that need an agent, or a user; false if they can run. */
export const skip = monitor && data ? false : "MONITOR_TEST_MONITOR and MONITOR_TEST_DATA, the program `monitor` and the server's data folder, are not set";

/** Runs `test` with an agent and these tasks: name, and the remaining text of the task file. */
export async function withAgent(tasks, test) {
  const name = `agent-${newId()}`;
  const folder = await mkdtemp(join(tmpdir(), "monitor-agent-"));
  await mkdir(join(folder, "tasks"));
  for (const [task, rest] of Object.entries(tasks)) await writeFile(join(folder, "tasks", `${task}.toml`), `name = "${task}"\n${rest}\n`);
  const token = spawnSync(monitor, ["token", "create", name, "--scope", "agent", "--data", data]);
  assert.equal(token.status, 0, token.stderr.toString());
  await writeFile(join(folder, "token"), token.stdout.toString().trim());
  const start = () => {
    const args = ["agent", "--server", server, "--token-file", join(folder, "token"), "--name", name, "--data", join(folder, "data"), "--tasks", join(folder, "tasks")];
    return spawn(monitor, args, { stdio: "ignore", env: { ...process.env, MONITOR_SPOOL_DIR: join(folder, "spool") } });
  };
  const agent = { name, folder, process: start() };
  const ended = (child) => child.exitCode !== null || child.signalCode !== null || new Promise((resolve) => child.once("exit", resolve));
  agent.stop = async () => {
    agent.process.kill();
    await ended(agent.process);
  };
  agent.startAgain = () => {
    agent.process = start();
  };
  try {
    await test(agent);
  } finally {
    await agent.stop();
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Polls the API until `isThere` accepts the answer. */
export async function until(path, isThere) {
  for (const deadline = Date.now() + 60_000; ; ) {
    const answer = await (await fetch(`${server}/api/v1/${path}`)).json();
    const found = isThere(answer);
    if (found) return found;
    assert.ok(Date.now() < deadline, `${path}: ${JSON.stringify(answer).slice(0, 500)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
