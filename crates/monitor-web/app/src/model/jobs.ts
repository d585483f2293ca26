/** Jobs on many hosts: the outcome of each host, groups of hosts, and possible operations. */
import type { Job, JobHost, JobOperate, JobStep } from "../api/types.ts";

export type Operation = JobOperate["operation"];

const FINISHED = new Set([3, 4, 5, 6, 8, 9, 11, 13, 14]);
const PASSED = new Set([3, 5, 6]);
const FAILED = 4;
const STOPPING = 10;
/** Statuses of a step that waits for a decision about the next batch. */
const WAITS_FOR_USER = new Set([7, 15]);
/** Statuses of a step that exclude retries. */
const BUSY = new Set([1, 2, STOPPING, 14]);
const SKIPPABLE = new Set([FAILED, 11, 13]);
/** Statuses of hosts that, as a rule, have not accepted the order. */
const NOT_STARTED = new Set([12, 13, 18, 310, 311, 312]);
const NO_SUCH_HOST = 2;

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

/** States in their order: first those that need attention, last successes. */
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

/** Groups hosts by status. Groups that need attention come first, then larger groups. */
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

/** Returns true if a rule demands a confirmation before the job begins, and there is none: it waits for a user, or was refused. */
function isUnconfirmed(job: Job): boolean {
  const first = job.steps[0];
  return first !== undefined && first.started_us === null && (first.status === 7 || first.status === 13);
}

/** Returns true if hosts of a step can be retried now: it is idle, and no later step has begun. */
export function canRetry(job: Job, step: JobStep): boolean {
  if (isUnconfirmed(job)) return false;
  const later = job.steps.slice(job.steps.indexOf(step) + 1);
  return !BUSY.has(step.status) && later.every(({ status }) => status === 1 || status === 14);
}

export interface Possible {
  operation: Operation;
  /** Number of hosts that it applies to, for retries. */
  count?: number;
}

/** Returns the possible operations for a step of a job, the most likely first. The rules are those of `operate` in `monitor-jobs`. */
export function possible(job: Job, step: JobStep): Possible[] {
  if (isUnconfirmed(job)) return isFinished(job.status) || currentStep(job) !== step ? [] : [{ operation: "confirm" }, { operation: "refuse" }, { operation: "stop" }];
  const { status, counts } = step;
  const isWaiting = WAITS_FOR_USER.has(status);
  const count = (has: (status: number) => boolean) => Object.entries(counts).reduce((sum, [each, of]) => sum + (has(Number(each)) ? of : 0), 0);
  const failed = count((each) => each !== NO_SUCH_HOST && !["succeeded", "pending", "running"].includes(hostState(each)));
  const notStarted = count((each) => NOT_STARTED.has(each));
  const ended = count((each) => each !== NO_SUCH_HOST && !["pending", "running"].includes(hostState(each)));
  const isIdle = canRetry(job, step);
  const list: (Possible | false)[] = [
    isWaiting && { operation: "continue" },
    isIdle && failed > 0 && { operation: "retry-failed", count: failed },
    isIdle && notStarted > 0 && notStarted !== failed && { operation: "retry-not-started", count: notStarted },
    isIdle && ended > 0 && { operation: "retry-all", count: ended },
    status === FAILED && { operation: "ignore" },
    isWaiting && { operation: "refuse" },
    (isWaiting || SKIPPABLE.has(status)) && { operation: "skip" },
    !isFinished(job.status) && job.status !== STOPPING && currentStep(job) === step && { operation: "stop" },
  ];
  return list.filter((each) => each !== false);
}
