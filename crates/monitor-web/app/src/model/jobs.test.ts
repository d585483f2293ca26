import { expect, test } from "vitest";
import type { Job, JobHost, JobStep } from "../api/types.ts";
import { canRetry, currentStep, groupsOf, hostState, isFinished, jobState, keyOf, outcomesOf, possible, showsHost } from "./jobs.ts";

function step(status: number, counts: Record<string, number>, started_us: number | null = 5): JobStep {
  return { step_id: 7, name: "step 1", status, attempt: 1, batch: [1, 1], started_us, ended_us: null, counts };
}

function job(...steps: JobStep[]): Job {
  const status = steps.find(({ status }) => status !== 3)?.status ?? 3;
  return { job_id: 3, name: "check", root_id: "0", status, by: "ada", follows: null, followed_by: null, account: null, warnings: [], created_us: 1, started_us: 5, ended_us: null, steps };
}

function host(host_id: number | null, status: number, rest: Partial<JobHost> = {}): JobHost {
  const name = `web-${host_id}`;
  return { step_id: 7, host_id, name, ip: null, cloud_id: 0, status, attempt: 1, exit_code: null, tag: null, reason: null, started_us: null, ended_us: null, output_bytes: 0, omitted_bytes: 0, ...rest };
}

test("each known status has a state, and an unknown one is drawn as such", () => {
  for (const status of [2, 3, 5, 7, 9, 12, 13, 18, 101, 102, 103, 104, 310, 311, 312, 403, 404, 500]) expect(hostState(status), String(status)).not.toBe("unknown");
  for (const status of [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15]) expect(jobState(status), String(status)).not.toBe("unknown");
  expect([hostState(777), jobState(77)]).toEqual(["unknown", "unknown"]);
  expect([1, 2, 3, 7, 10, 11, 15].map(isFinished)).toEqual([false, false, true, false, false, true, false]);
});

test("the counts of all hosts add up by outcome", () => {
  expect(outcomesOf({ 104: 2, 102: 1, 310: 3, 9: 480, 3: 4, 7: 5, 777: 1 })).toEqual({ failed: 3, lost: 3, running: 5, pending: 0, cancelled: 0, unknown: 1, succeeded: 484 });
});

test("groups of hosts that need attention come first, each with its most common reason", () => {
  const hosts = [host(1, 9, { started_us: 0, ended_us: 30 }), host(2, 9, { started_us: 0, ended_us: 10 }), host(3, 9, { started_us: 5, ended_us: 25 }), host(4, 7), host(5, 310), host(6, 104, { reason: "disk" }), host(7, 104, { reason: "lock" }), host(8, 104, { reason: "disk" }), host(null, 2)];
  const groups = groupsOf(hosts);
  expect(groups.map(({ status, hosts: { length } }) => [status, length])).toEqual([[104, 3], [2, 1], [310, 1], [7, 1], [9, 3]]);
  expect(groups[0]).toMatchObject({ reason: "disk", same: 2, medianUs: undefined });
  expect(groups.at(-1)).toMatchObject({ reason: undefined, medianUs: 20 });
  expect(hosts.map(keyOf).slice(-2)).toEqual(["8", "?web-null"]);
});

test("a host is found by name, address, tag, reason, status and exit code", () => {
  const one = host(1, 104, { ip: "10.0.3.17", tag: "Disk", reason: "No space", exit_code: 28 });
  for (const text of ["", "WEB-1", "3.17", "disk", "no space", "104", "28"]) expect(showsHost(one, text), text).toBe(true);
  for (const text of ["10", "web-12", "2"]) expect(showsHost({ ...one, ip: null }, text), text).toBe(false);
});

test("the current step is the first that has not passed, otherwise the last", () => {
  expect(currentStep(job(step(3, {}), { ...step(4, {}), step_id: 8 }, step(1, {})))?.step_id).toBe(8);
  expect(currentStep(job({ ...step(3, {}), step_id: 6 }, { ...step(6, {}), step_id: 9 }))?.step_id).toBe(9);
});

const names = (of: Job) => possible(of, of.steps.at(-1)!).map(({ operation }) => operation);

test("a running job can only be stopped, and one that stops cannot be stopped again", () => {
  expect(names(job(step(2, { 7: 3, 104: 1 })))).toEqual(["stop"]);
  expect(names(job(step(10, { 7: 3 })))).toEqual([]);
});

test("a failed job is retried, ignored or skipped", () => {
  const failed = job(step(4, { 104: 9, 310: 3, 2: 1, 9: 488 }));
  expect(possible(failed, failed.steps[0]!)).toEqual([
    { operation: "retry-failed", count: 12 },
    { operation: "retry-not-started", count: 3 },
    { operation: "retry-all", count: 500 },
    { operation: "ignore" },
    { operation: "skip" },
  ]);
  expect(names(job(step(4, { 310: 3, 9: 4 })))).toEqual(["retry-failed", "retry-all", "ignore", "skip"]);
});

test("a job that waits for its confirmation is confirmed, refused or stopped, and never begins after a refusal", () => {
  const waiting = job(step(7, { 5: 4 }, null), { ...step(1, { 5: 4 }, null), step_id: 8 });
  expect(possible(waiting, waiting.steps[0]!)).toEqual([{ operation: "confirm" }, { operation: "refuse" }, { operation: "stop" }]);
  expect(possible(waiting, waiting.steps[1]!)).toEqual([]);
  expect(names(job(step(13, { 13: 4 }, null)))).toEqual([]);
});

test("a step that waits for a user after a batch is continued, retried, refused or skipped", () => {
  expect(names(job(step(7, { 5: 4, 104: 1, 9: 2 })))).toEqual(["continue", "retry-failed", "retry-all", "refuse", "skip", "stop"]);
  expect(names(job(step(13, { 9: 2, 13: 4 })))).toEqual(["retry-failed", "retry-all", "skip"]);
});

test("a job that succeeded or was stopped can run again", () => {
  expect(names(job(step(3, { 9: 4 })))).toEqual(["retry-all"]);
  expect(names(job(step(11, { 403: 2, 310: 1, 9: 4 })))).toEqual(["retry-failed", "retry-not-started", "retry-all", "skip"]);
});

test("a step is not retried after a later one has begun", () => {
  const later = job(step(3, { 9: 4 }), { ...step(2, { 7: 4 }), step_id: 8 });
  expect(later.steps.map((each) => canRetry(later, each))).toEqual([false, false]);
  expect(possible(later, later.steps[0]!)).toEqual([]);
  const last = job(step(3, { 9: 4 }), { ...step(4, { 104: 4 }), step_id: 8 }, { ...step(1, { 5: 4 }, null), step_id: 9 });
  expect(last.steps.map((each) => canRetry(last, each))).toEqual([false, true, false]);
});
