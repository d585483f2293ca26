/** Sample read models for tests: a test only specifies the fields that matter. */
import type { Process, Root } from "../api/types.ts";

export function root(number: number, rest: Partial<Root> = {}): Root {
  const name = rest.name ?? "job";
  return {
    root_id: String(number).padStart(32, "0"),
    number,
    name,
    batch: null,
    title: `${name} <${number}>`,
    state: "running",
    started_us: number * 1000,
    ended_us: null,
    elapsed_ns: null,
    worker_id: null,
    counts: { pending: 0, running: 1, succeeded: 0, failed: 0, cancelled: 0, lost: 0 },
    error: null,
    ...rest,
  };
}

export function process(id: string, parentId: string | null, startedUs: number | null, rest: Partial<Process> = {}): Process {
  return {
    id,
    root_id: "1".padStart(32, "0"),
    parent_id: parentId,
    name: id,
    kind: parentId === null ? "root" : "normal",
    state: "running",
    native_id: null,
    attempt: 1,
    started_us: startedUs,
    ended_us: null,
    elapsed_ns: null,
    worker_id: null,
    thread: null,
    source: null,
    error: null,
    reason: null,
    exit_code: null,
    signal: null,
    attachment: "explicit",
    orphan: false,
    links: [],
    fields: {},
    progress: null,
    fold: null,
    ...rest,
  };
}
