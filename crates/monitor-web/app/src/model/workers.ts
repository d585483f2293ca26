/** The list of workers: those that need a look first, then who reports, then who said goodbye. */
import type { Worker } from "../api/types.ts";

const ORDER = ["lost", "unheard", "online", "offline"];

export function sortWorkers(workers: Iterable<Worker>): Worker[] {
  const rank = ({ state }: Worker) => (ORDER.includes(state) ? ORDER.indexOf(state) : ORDER.length);
  return [...workers].sort((a, b) => rank(a) - rank(b) || b.last_seen_us - a.last_seen_us || (a.id < b.id ? -1 : 1));
}

/** Those that are listed unless all are wanted: who reports, and who was lost. */
export function isPresent({ state }: Worker): boolean {
  return state !== "offline";
}

/** The marks of processes serve for workers too: what reports runs, what is gone is quiet. */
export function markOf({ state }: Pick<Worker, "state">): string {
  return MARKS[state] ?? "";
}

const MARKS: Readonly<Record<string, string>> = { online: "succeeded", lost: "lost", offline: "cancelled" };

/** Workers of the same program on the same host, in the order of the first of each. */
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

/** How long a name is that all hosts end with, from a dot on: `.example.org` says nothing where all have it. */
export function sharedDomain(hostnames: readonly string[]): string {
  const [first = "", ...rest] = [...new Set(hostnames)];
  if (rest.length === 0) return "";
  for (let at = first.indexOf("."); at > 0; at = first.indexOf(".", at + 1)) {
    const domain = first.slice(at);
    if (rest.every((each) => each.endsWith(domain) && each.length > domain.length)) return domain;
  }
  return "";
}

/** How many heartbeats are overdue; 0 while all is well, or where none are promised. */
export function overdue(worker: Worker, nowUs: number): number {
  if (worker.state !== "online" || !worker.heartbeat_interval_ms) return 0;
  return Math.max(0, Math.floor((nowUs - worker.last_seen_us) / 1000 / worker.heartbeat_interval_ms) - 1);
}

export type Beat = "heard" | "missed" | "unseen";

/** A cell for each heartbeat that was promised, the last one up to now; before the first that was seen nothing is known. */
export function beatStrip(beats: readonly number[], worker: Pick<Worker, "heartbeat_interval_ms">, nowUs: number, cells: number): Beat[] {
  const stepUs = (worker.heartbeat_interval_ms ?? 0) * 1000;
  const first = beats[0];
  if (stepUs <= 0 || first === undefined) return [];
  return Array.from({ length: cells }, (_, index): Beat => {
    const to = nowUs - (cells - 1 - index) * stepUs;
    if (to < first) return "unseen";
    // A heartbeat that is a little late is none that was missed; the last one may be on its way.
    const isHeard = beats.some((beat) => beat > to - 1.5 * stepUs && beat <= to);
    return isHeard || (index === cells - 1 && nowUs - (beats[beats.length - 1] as number) < 2 * stepUs) ? "heard" : "missed";
  });
}
