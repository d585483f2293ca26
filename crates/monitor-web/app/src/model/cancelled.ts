/** The workers' answers to a cancellation, and the processes that continue. */
import type { Cancelled, CommandLine } from "../api/types.ts";

/** Processes that continue for the same reason at the same worker. */
export interface GoesOn {
  /** A key of `cancel.why`: the status of the worker's line, or the reason why there is none. */
  why: string;
  line: CommandLine | undefined;
  processes: Cancelled["still"];
}

/** Groups the continuing processes by reason: those that wait to start, those without a worker, and the others by worker. */
export function goesOn({ still, lines }: Cancelled): GoesOn[] {
  const groups = new Map<string, GoesOn>();
  for (const process of still) {
    const line = lines.find(({ worker_id }) => worker_id === process.worker_id && worker_id !== null);
    const why = process.state === "pending" ? "pending" : (line?.status ?? "nobody");
    const key = why === "pending" ? why : `${why} ${line?.worker_id}`;
    const group = groups.get(key) ?? { why, line: why === "pending" ? undefined : line, processes: [] };
    group.processes.push(process);
    groups.set(key, group);
  }
  return [...groups.values()];
}

/** Returns the workers that would be notified, and those that can't be. */
export function toBeTold({ lines }: Cancelled): { told: CommandLine[]; mute: CommandLine[] } {
  const isTold = ({ status }: CommandLine) => status === "waiting" || status === "ok";
  return { told: lines.filter(isTold), mute: lines.filter((line) => !isTold(line)) };
}
