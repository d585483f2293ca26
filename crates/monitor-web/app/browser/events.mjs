/** Posts events to the server under test, as a worker does. */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";

export const server = process.env.MONITOR_TEST_URL?.replace(/\/$/, "");
if (!server) throw new Error("set MONITOR_TEST_URL to the address of a running server, like http://127.0.0.1:60010");

const MOST_EVENTS = 5000;
/** Event types that the server only accepts from agents and admins. */
const OF_AGENTS = ["batch-task-changed", "agent-decided", "run-skipped", "run-missed"];

const hex = (bytes) => randomBytes(bytes).toString("hex");
export const newId = () => hex(8);
const newRootId = () => Date.now().toString(16).padStart(12, "0") + hex(10);
export const nowUs = () => Date.now() * 1000;

/** The token in the server's data folder, as the agent on its machine sends it. */
function localToken() {
  const data = process.env.MONITOR_TEST_DATA;
  if (!data) throw new Error("set MONITOR_TEST_DATA to the server's data folder: events of agents are sent with the token there");
  return readFileSync(join(data, "local.token"), "utf8").split("\n")[1];
}

/** Sends a batch; repeats it after a connection error, because a repeated batch counts once. */
async function post(batch) {
  const headers = { "content-type": "application/json" };
  if (batch.events.some(({ type }) => OF_AGENTS.includes(type))) headers.authorization = `Bearer ${localToken()}`;
  const body = JSON.stringify(batch);
  for (let attempt = 1; ; attempt += 1) {
    try {
      const answer = await fetch(`${server}/api/v1/events`, { method: "POST", headers, body });
      if (answer.ok) return;
      throw new Error(`the server refused the events: ${answer.status} ${await answer.text()}`);
    } catch (error) {
      if (!(error instanceof TypeError) || attempt === 3) throw error;
    }
  }
}

export class Worker {
  /** Dropped events that it reports. */
  dropped = [];
  #sequence = 1;
  #before = Promise.resolve();
  #identity;

  constructor(rest = {}) {
    this.#identity = { id: hex(16), hostname: "browser-test", pid: 4121, program: "browser-test", ...rest };
  }

  get id() {
    return this.#identity.id;
  }

  send(...events) {
    return this.sendAll(events);
  }

  /** Sends after all earlier events, because events are numbered, and hooks and tests may send at the same time. */
  sendAll(events) {
    const sent = this.#before.then(() => this.#post(events));
    this.#before = sent.catch(() => undefined);
    return sent;
  }

  async #post(events) {
    for (let from = 0; from < events.length; from += MOST_EVENTS) {
      const part = events.slice(from, from + MOST_EVENTS);
      const batch = { version: 1, worker: this.#identity, sequence: this.#sequence, sent_us: nowUs(), dropped: this.dropped, events: part };
      await post(batch);
      this.#sequence += part.length;
    }
  }

  /** Announces the worker with a long heartbeat interval, so that it is not considered lost during a test. */
  async online(heartbeatMs = 600_000) {
    await this.send({
      type: "worker-online",
      time_us: nowUs(),
      started_us: nowUs(),
      version: "0.1.0",
      heartbeat_interval_ms: heartbeatMs,
    });
    return this;
  }
}

/** Creates the events of a tree's processes. */
export class Tree {
  rootId = newRootId();

  constructor(name, rest = {}) {
    this.name = name;
    this.startUs = nowUs() - 60_000_000;
    this.own = this.start(name, null, 0, { kind: "root", ...rest });
  }

  get id() {
    return this.own.id;
  }

  /** `atMs` is relative to the tree's start. */
  start(name, parentId, atMs, rest = {}) {
    return {
      type: "process-started",
      root_id: this.rootId,
      id: newId(),
      parent_id: parentId,
      kind: "normal",
      name,
      time_us: this.startUs + Math.round(atMs * 1000),
      thread: "main",
      source: { file: "src/main.rs", line: 12 },
      attachment: "explicit",
      fields: {},
      ...rest,
    };
  }

  end(started, tookMs, error) {
    return {
      type: "process-ended",
      root_id: this.rootId,
      id: started.id,
      time_us: started.time_us + Math.round(tookMs * 1000),
      elapsed_ns: Math.round(tookMs * 1e6),
      outcome: error ? "failed" : "succeeded",
      ...(error ? { error: { kind: "error", ...error } } : {}),
    };
  }

  log(id, atMs, level, message, rest = {}) {
    return { type: "process-logged", root_id: this.rootId, id, time_us: this.startUs + Math.round(atMs * 1000), level, message, ...rest };
  }

  /** Creates a fold of similar processes; `durations` counts them by bucket, as in the wire format. */
  fold(name, parentId, { count, failed = 0, running = 0, durations }) {
    const total = durations.reduce((sum, [bucket, each]) => sum + each * 1.04 ** bucket, 0);
    return {
      type: "process-folded",
      root_id: this.rootId,
      id: newId(),
      parent_id: parentId,
      kind: "normal",
      name,
      time_us: nowUs(),
      shard: 1,
      revision: 1,
      count,
      running,
      failed,
      cancelled: 0,
      total_ns: Math.round(total),
      min_ns: Math.round(1.04 ** durations[0][0]),
      max_ns: Math.round(1.04 ** durations.at(-1)[0]),
      histogram: durations,
    };
  }

  get address() {
    return `${server}/tasks/${this.rootId}`;
  }
}

/** Creates `count` ended roots, oldest first, one second apart. */
export async function history(worker, name, count) {
  const trees = Array.from({ length: count }, () => new Tree(name));
  for (const [index, tree] of trees.entries()) {
    tree.startUs = tree.own.time_us = Date.UTC(2026, 10, 20) * 1000 + index * 1e6;
  }
  await worker.sendAll(trees.flatMap((tree) => [tree.own, tree.end(tree.own, 5)]));
  return trees;
}

/** Creates a task from an agent's file, and five runs; the second one failed. */
export function batchTask(task, owner) {
  const agent = "browser-test";
  const definition = { name: task, command: ["node", "index.js"], rules: ["30 2 * * *"], zone: "Asia/Shanghai", owner };
  const changed = { type: "batch-task-changed", time_us: nowUs(), task, version: 1, status: "active", who: "/etc/tasks/task.toml", agent, definition };
  const runs = [1, 2, 3, 4, 5].flatMap((number) => {
    const dueUs = (Math.floor(Date.now() / 1000) - number * 3600) * 1e6;
    const due = new Date(dueUs / 1000).toISOString().replace(/[-:]|\.\d+/g, "");
    const run = { root_id: newRootId(), id: newId(), native_id: `${task}@${due}.1` };
    const fields = { "task.name": task, "task.version": "1", "task.due_us": String(dueUs), "task.trigger": "time", "task.agent": agent };
    const error = number === 2 ? { error: { kind: "exit", message: "no prices" } } : {};
    return [
      { type: "process-started", ...run, time_us: dueUs + 40_000, kind: "run", name: task, fields },
      { type: "process-ended", ...run, time_us: dueUs + 42_000_000, elapsed_ns: 41_960_000_000, outcome: number === 2 ? "failed" : "succeeded", exit_code: number === 2 ? 3 : 0, ...error },
    ];
  });
  return [changed, ...runs];
}

const HOUR_US = 3_600_000_000;
const DAY_US = 24 * HOUR_US;
/** Start of the previous day in UTC, which is completely in the past. */
export const yesterdayUs = (Math.floor(Date.now() / 86_400_000) - 1) * DAY_US;
export const dayOf = (us) => new Date(us / 1000).toISOString().slice(0, 10);

/** Creates a task that an agent has had in a file since the day before yesterday. */
export function taskOf(task, agent, rule) {
  const definition = { name: task, shell: "true", rules: [rule], zone: "UTC" };
  return { type: "batch-task-changed", time_us: yesterdayUs - DAY_US, task, version: 1, status: "active", who: "/etc/tasks/task.toml", agent, definition };
}

/** Creates a run that was due then; it is running if it has no outcome. */
export function runOf(task, agent, dueUs, tookUs, outcome) {
  const run = { root_id: newRootId(), id: newId(), native_id: `${task}@${new Date(dueUs / 1000).toISOString().replace(/[-:]|\.\d+/g, "")}.1` };
  const fields = { "task.name": task, "task.version": "1", "task.due_us": String(dueUs), "task.trigger": "time", "task.agent": agent };
  const start = { type: "process-started", ...run, time_us: dueUs + 40_000, kind: "run", name: task, fields };
  return outcome === undefined ? [start] : [start, { type: "process-ended", ...run, time_us: dueUs + tookUs, elapsed_ns: tookUs * 1000, outcome, exit_code: outcome === "failed" ? 3 : 0 }];
}

/**
 * Creates yesterday's events of an agent: runs of all kinds, skipped and missed due times, and a crowded minute. There must be seven
 * `names`.
 */
export function batchDay(agent, [orders, prices, backup, search, mail, report, cleanup]) {
  const at = (hour) => yesterdayUs + Math.round(hour * HOUR_US);
  const each = (task, rule, hours, took, isBad = () => false) => [taskOf(task, agent, rule), ...hours.flatMap((hour) => runOf(task, agent, at(hour), Math.round(took * HOUR_US), isBad(hour) ? "failed" : "succeeded"))];
  const hours = (from, to, step = 1) => Array.from({ length: Math.ceil((to - from) / step) }, (_, index) => from + index * step);
  return [
    ...each(orders, "0 * * * *", [...hours(0, 9), ...hours(11, 24)], 0.35, (hour) => hour === 14),
    { type: "run-missed", time_us: at(11), task: orders, agent, version: 1, first_due_us: at(9), last_due_us: at(10), count: 2, reason: "agent-down" },
    ...each(prices, "30 */2 * * *", [...hours(0.5, 4, 2), ...hours(6.5, 24, 2)], 1.3),
    { type: "run-skipped", time_us: at(4.5), task: prices, agent, version: 1, due_us: at(4.5), reason: "overlap" },
    ...each(backup, "0 3 * * *", [3], 4.4),
    ...each(search, "*/10 * * * *", [...hours(0, 9, 1 / 6), ...hours(11, 24, 1 / 6)], 0.03, (hour) => Math.abs(hour - 17.5) < 0.01),
    ...[mail, report, cleanup, `${mail}-2`, `${report}-2`].flatMap((task, index) => each(task, "0 3 * * *", [3], 0.2 + index * 0.3, () => index === 1)),
    { type: "agent-decided", time_us: at(24), agent, until_us: at(24) },
  ];
}

let queuedUs = 0;

/** Creates the events of a queue task, each later than all earlier ones. */
export function queueTask(name, queue) {
  const uuid = newId();
  const root = newRootId();
  const of = { root_id: root, id: root.slice(16), native_id: uuid };
  const told = (type, rest) => {
    queuedUs = Math.max(queuedUs + 1000, nowUs());
    return [{ type: `task-${type}`, ...of, time_us: queuedUs, ...rest }];
  };
  return {
    uuid,
    sent: () => told("sent", { name, queue }),
    received: (kwargs, attempt = 1) => told("received", { name, queue, kwargs, attempt }),
    started: (attempt = 1) => told("started", { attempt }),
    succeeded: (result, attempt = 1) => told("succeeded", { attempt, result, runtime_ns: 7e6 }),
    failed: (exception, attempt = 1) => told("failed", { attempt, exception }),
    retried: (exception, attempt = 1) => told("retried", { attempt, exception }),
  };
}

/** Waits for the alert about a task. */
export async function alertOf(task) {
  for (;;) {
    const { alerts } = await (await fetch(`${server}/api/v1/alerts?subject=task:${encodeURIComponent(task)}`)).json();
    if (alerts[0]) return alerts[0];
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
