/** Jobs on many hosts: the outcome of each host, groups of hosts, and what a user can do with a job. */
import type { Job, JobHost, JobOperate, JobStep } from "../api/jobTypes.ts";

export type Operation = JobOperate["operation"];

const FINISHED = new Set([3, 4, 5, 6, 8, 9, 11, 13, 14]);
const PASSED = new Set([3, 5, 6]);
const WAITS_FOR_USER = 7;
const NEVER_BEGAN = new Set([13, 14]);
/** Statuses of hosts that have not accepted the order. */
const NOT_STARTED = new Set([5, 13, 18, 310]);

/** States that statuses of jobs and steps are drawn as. */
const JOB_STATES: Readonly<Record<number, string>> = {
  1: "pending",
  2: "running",
  3: "succeeded",
  4: "failed",
  5: "cancelled",
  6: "succeeded",
  7: "retrying",
  8: "cancelled",
  9: "failed",
  10: "running",
  11: "cancelled",
  13: "cancelled",
  14: "cancelled",
  15: "running",
};

/** States that statuses of hosts are drawn as. */
const HOST_STATES: Readonly<Record<number, string>> = {
  2: "failed",
  3: "succeeded",
  5: "pending",
  7: "running",
  9: "succeeded",
  12: "failed",
  13: "failed",
  18: "lost",
  101: "failed",
  102: "failed",
  103: "failed",
  104: "failed",
  310: "lost",
  311: "failed",
  312: "failed",
  403: "cancelled",
  404: "failed",
  500: "lost",
};

/** Order of the states: those that need attention first, successes last. */
export const OUTCOMES = ["failed", "lost", "running", "pending", "cancelled", "unknown", "succeeded"] as const;
export type Outcome = (typeof OUTCOMES)[number];

export function jobState(status: number): string {
  return JOB_STATES[status] ?? "unknown";
}

export function hostState(status: number): string {
  return HOST_STATES[status] ?? "unknown";
}

export function isFinished(status: number): boolean {
  return FINISHED.has(status);
}

/** Returns the step that runs, waits for a user or has failed; the last one if all have passed. */
export function currentStep(job: Job): JobStep | undefined {
  return job.steps.find(({ status }) => !PASSED.has(status)) ?? job.steps.at(-1);
}

/** Returns the number of hosts with each outcome. */
export function outcomesOf(counts: Readonly<Record<string, number>>): Record<Outcome, number> {
  const sums = Object.fromEntries(OUTCOMES.map((outcome) => [outcome, 0])) as Record<Outcome, number>;
  for (const [status, count] of Object.entries(counts)) sums[hostState(Number(status)) as Outcome] += count;
  return sums;
}

export function totalOf(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

/** Identifies a host within a step. A target that is no known host has only a name. */
export function keyOf({ host_id, name }: Pick<JobHost, "host_id" | "name">): string {
  return host_id === null ? `?${name}` : String(host_id);
}

export interface Group {
  status: number;
  state: string;
  hosts: JobHost[];
  /** The most common reason, and the number of hosts that have it. */
  reason: string | undefined;
  same: number;
  /** Median duration in microseconds of hosts that have ended. */
  medianUs: number | undefined;
}

/** Groups hosts by status: those that need attention first, larger groups before smaller ones. */
export function groupsOf(hosts: readonly JobHost[]): Group[] {
  const byStatus = new Map<number, JobHost[]>();
  for (const host of hosts) {
    const group = byStatus.get(host.status);
    if (group) group.push(host);
    else byStatus.set(host.status, [host]);
  }
  const rank = ({ state }: Group) => OUTCOMES.indexOf(state as Outcome);
  return [...byStatus]
    .map(([status, of]) => ({ status, state: hostState(status), hosts: of, ...commonReason(of), medianUs: medianUs(of) }))
    .sort((a, b) => rank(a) - rank(b) || b.hosts.length - a.hosts.length || a.status - b.status);
}

function commonReason(hosts: readonly JobHost[]): Pick<Group, "reason" | "same"> {
  const counts = new Map<string, number>();
  for (const { reason } of hosts) if (reason !== null) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  const [reason, same = 0] = [...counts].reduce<[string?, number?]>((most, each) => (each[1] > (most[1] ?? 0) ? each : most), []);
  return { reason, same };
}

function medianUs(hosts: readonly JobHost[]): number | undefined {
  const durations = hosts.flatMap(({ started_us, ended_us }) => (started_us === null || ended_us === null ? [] : [Math.max(0, ended_us - started_us)]));
  return durations.sort((a, b) => a - b)[Math.floor(durations.length / 2)];
}

/** Returns true if a host's name, address, tag or reason contains the text, or its status or exit code is equal to it. */
export function showsHost({ name, ip, tag, reason, status, exit_code }: JobHost, text: string): boolean {
  const wanted = text.trim().toLowerCase();
  if (wanted === "") return true;
  return [name, ip, tag, reason].some((part) => part?.toLowerCase().includes(wanted)) || [status, exit_code].some((number) => String(number) === wanted);
}

export interface Possible {
  operation: Operation;
  /** Number of hosts that it applies to, for retries. */
  count?: number;
}

/** Returns what a user can do with a step of a job now, the most likely first. */
export function possible(job: Job, step: JobStep): Possible[] {
  const isOpen = !isFinished(job.status);
  const stop: Possible[] = isOpen && job.status !== 10 ? [{ operation: "stop" }] : [];
  const count = (has: (status: number) => boolean) => Object.entries(step.counts).reduce((sum, [status, of]) => sum + (has(Number(status)) ? of : 0), 0);
  const isWaiting = step.status === WAITS_FOR_USER;
  if (isWaiting && step.started_us === null) return [{ operation: "confirm" }, { operation: "refuse" }, ...stop];
  if (!isWaiting && (!isFinished(step.status) || NEVER_BEGAN.has(step.status) || step.started_us === null)) return stop;
  const failed = count((status) => !["succeeded", "pending", "running"].includes(hostState(status)));
  const notStarted = count((status) => NOT_STARTED.has(status) && !(isWaiting && status === 5));
  const total = totalOf(step.counts);
  return [
    ...(isWaiting ? [{ operation: "continue" } as const] : []),
    ...(failed > 0 ? [{ operation: "retry-failed", count: failed } as const] : []),
    ...(notStarted > 0 && notStarted !== failed ? [{ operation: "retry-not-started", count: notStarted } as const] : []),
    ...(isWaiting ? [] : [{ operation: "retry-all", count: total } as const]),
    ...(PASSED.has(step.status) || failed === 0 ? [] : [{ operation: "ignore" } as const, { operation: "skip" } as const]),
    ...stop,
  ];
}
