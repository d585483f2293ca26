/** The list of workers: first those that need attention, then online workers, then those that ended regularly. */
import type { Worker } from "../api/types.ts";

const ORDER = ["lost", "unheard", "online", "offline"];

export function sortWorkers(workers: Iterable<Worker>): Worker[] {
  const rank = ({ state }: Worker) => (ORDER.includes(state) ? ORDER.indexOf(state) : ORDER.length);
  return [...workers].sort((a, b) => rank(a) - rank(b) || b.last_seen_us - a.last_seen_us || (a.id < b.id ? -1 : 1));
}

/** Returns true for workers that are listed by default: online and lost workers. */
export function isPresent({ state }: Worker): boolean {
  return state !== "offline";
}

/** Returns true if a worker contains each word in its program, host, version, process id or id. */
export function matchesWorker({ program, hostname, version, pid, id }: Pick<Worker, "program" | "hostname" | "version" | "pid" | "id">, text: string): boolean {
  const all = [`${program}@${hostname}`, version ?? "", String(pid), id].map((one) => one.toLowerCase());
  return text.toLowerCase().split(/\s+/).every((word) => all.some((one) => one.includes(word)));
}

/** Returns the process state whose mark represents the state of a worker. */
export function markOf({ state }: Pick<Worker, "state">): string {
  return MARKS[state] ?? "";
}

const MARKS: Readonly<Record<string, string>> = { online: "succeeded", lost: "lost", offline: "cancelled", unheard: "pending" };

/** Workers of the same program on the same host, in the order of their first workers. */
export interface WorkerGroup {
  program: string;
  hostname: string;
  workers: Worker[];
}

export function groupWorkers(workers: readonly Worker[]): WorkerGroup[] {
  const groups = new Map<string, WorkerGroup>();
  for (const worker of workers) {
    const { program, hostname } = worker;
    const key = `${program}\n${hostname}`;
    const group = groups.get(key) ?? { program, hostname, workers: [] };
    group.workers.push(worker);
    groups.set(key, group);
  }
  return [...groups.values()];
}

/**
 * Returns the domain that all host names share, beginning with a dot; empty if there is none. The list omits it, because it does not
 * distinguish hosts.
 */
export function sharedDomain(hostnames: readonly string[]): string {
  const [first = "", ...rest] = [...new Set(hostnames)];
  if (rest.length === 0) return "";
  for (let at = first.indexOf("."); at > 0; at = first.indexOf(".", at + 1)) {
    const domain = first.slice(at);
    if (rest.every((each) => each.endsWith(domain) && each.length > domain.length)) return domain;
  }
  return "";
}

/** Returns the number of overdue heartbeats; 0 if none are, or none are promised. */
export function overdue(worker: Worker, nowUs: number): number {
  if (worker.state !== "online" || !worker.heartbeat_interval_ms) return 0;
  return Math.max(0, Math.floor((nowUs - worker.last_seen_us) / 1000 / worker.heartbeat_interval_ms) - 1);
}

export type Beat = "heard" | "missed" | "unseen";

/** Returns a cell for each expected heartbeat up to now; before the first received one, cells are unknown. */
export function beatStrip(beats: readonly number[], worker: Pick<Worker, "heartbeat_interval_ms">, nowUs: number, cells: number): Beat[] {
  const stepUs = (worker.heartbeat_interval_ms ?? 0) * 1000;
  const first = beats[0];
  if (stepUs <= 0 || first === undefined) return [];
  return Array.from({ length: cells }, (_, index): Beat => {
    const to = nowUs - (cells - 1 - index) * stepUs;
    if (to < first) return "unseen";
    // A slightly late heartbeat is not missed; the latest one may still be in transit.
    const isHeard = beats.some((beat) => beat > to - 1.5 * stepUs && beat <= to);
    return isHeard || (index === cells - 1 && nowUs - (beats[beats.length - 1] as number) < 2 * stepUs) ? "heard" : "missed";
  });
}
