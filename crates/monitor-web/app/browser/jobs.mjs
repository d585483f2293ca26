/** Jobs on hosts for the tests: hosts with and without agents, which speak the protocol and run nothing. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after } from "node:test";
import { newId, nowUs, server } from "./events.mjs";

const { MONITOR_TEST_MONITOR: monitor, MONITOR_TEST_DATA: data } = process.env;

/** Sends a request with a token; returns the body of the answer. */
async function ask(token, method, path, body, type = "application/json") {
  const headers = { authorization: `Bearer ${token}`, ...(body !== undefined && { "content-type": type }) };
  const answer = await fetch(`${server}/api/v1/${path}`, { method, headers, body: type === "application/json" ? JSON.stringify(body) : body });
  const text = await answer.text();
  assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${text}`);
  return text === "" ? undefined : JSON.parse(text);
}

/** Sends a request as the administrator of the server's machine. */
export function asAdmin(method, path, body) {
  const token = readFileSync(join(data, "local.token"), "utf8").split("\n")[1];
  return ask(token, method, path, body);
}

/** Adds hosts without agents. */
export function addHosts(hosts) {
  return asAdmin("PUT", "hosts", { hosts });
}

/** Starts a job; `more` is merged into the request. */
export function startJob(hosts, more = {}) {
  return asAdmin("POST", "jobs", { targets: { hosts }, steps: [{ name: "disks", script: "#!/bin/sh\ndf\n" }], ...more });
}

const agents = [];

after(() => Promise.all(agents.map((agent) => agent.close())));

/** An agent, which is a host as soon as it connects. It stays in contact as a real one, so a slow test doesn't lose it. */
export class JobAgent {
  #token;
  #number = 0;
  #isClosed = false;
  #polls;
  #seen = new Set();
  /** Orders that were not begun, and those who wait for one. */
  #orders = [];
  #waiting = [];

  constructor(name = `web-${newId()}`) {
    this.name = name;
    const created = spawnSync(monitor, ["token", "create", name, "--scope", "agent", "--data", data]);
    assert.equal(created.status, 0, created.stderr.toString());
    this.#token = created.stdout.toString().trim();
  }

  async connect() {
    await this.#poll(0);
    this.#polls = this.#stayInContact();
    agents.push(this);
    return this;
  }

  async close() {
    this.#isClosed = true;
    await this.#polls;
  }

  async #stayInContact() {
    while (!this.#isClosed) await this.#poll(2_000);
  }

  /** Fetches orders. One that comes again is the same. */
  async #poll(waitMs) {
    const { orders } = await ask(this.#token, "GET", `agents/${this.name}/job-orders?wait_ms=${waitMs}`);
    for (const { key } of orders.map(({ order }) => JSON.parse(order))) {
      const id = JSON.stringify(key);
      if (this.#seen.has(id)) continue;
      this.#seen.add(id);
      const next = this.#waiting.shift();
      if (next) next(key);
      else this.#orders.push(key);
    }
  }

  /** Waits for the next order, accepts it and starts. Returns its key. */
  async begin() {
    const key = this.#orders.shift() ?? (await new Promise((resolve) => this.#waiting.push(resolve)));
    await this.report(key, { event: "accepted" });
    await this.report(key, { event: "started" });
    return key;
  }

  async report(key, event) {
    this.#number += 1;
    await ask(this.#token, "POST", `agents/${this.name}/job-reports`, { reports: [{ number: this.#number, key, at_us: nowUs(), ...event }] });
  }

  async write({ job, step, host, attempt }, offset, text) {
    await ask(this.#token, "POST", `agents/${this.name}/job-output?job=${job}&step=${step}&host=${host}&attempt=${attempt}&offset=${offset}`, text, "application/octet-stream");
  }

  /** Ends a run; `more` contains the exit code, the reason and the number of bytes of output. */
  async end(key, status, more = {}) {
    await this.report(key, { event: "ended", status, ...more });
  }
}
