/** The list of workers: those that need a look first, then who reports, then who said goodbye. */
import type { Worker } from "../api/types.ts";

const ORDER = ["lost", "online", "offline"];

export function sortWorkers(workers: Iterable<Worker>): Worker[] {
  const rank = ({ state }: Worker) => (ORDER.includes(state) ? ORDER.indexOf(state) : ORDER.length);
  return [...workers].sort((a, b) => rank(a) - rank(b) || b.last_seen_us - a.last_seen_us || (a.id < b.id ? -1 : 1));
}

/** How many heartbeats are overdue; 0 while all is well, or where none are promised. */
export function overdue(worker: Worker, nowUs: number): number {
  if (worker.state !== "online" || !worker.heartbeat_interval_ms) return 0;
  return Math.max(0, Math.floor((nowUs - worker.last_seen_us) / 1000 / worker.heartbeat_interval_ms) - 1);
}
