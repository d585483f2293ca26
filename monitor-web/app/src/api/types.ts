/** The read models of the HTTP API. Times are Unix microseconds, durations nanoseconds. */

export interface Source {
  file: string;
  line: number | null;
}

export interface Failure {
  kind: string;
  type?: string | null;
  message: string;
  chain?: string[];
  source?: Source | null;
}

export interface Counts {
  pending: number;
  running: number;
  succeeded: number;
  failed: number;
  cancelled: number;
  lost: number;
  /** In states that are unknown to the server. */
  other?: number;
}

export interface Root {
  root_id: string;
  number: number;
  name: string;
  batch: string | null;
  title: string;
  state: string;
  started_us: number | null;
  ended_us: number | null;
  elapsed_ns: number | null;
  worker_id: string | null;
  counts: Counts;
  error: Failure | null;
}

export interface Link {
  root_id: string;
  id: string;
  relation: string;
}

export interface Progress {
  done: number;
  total: number | null;
  unit: string | null;
}

export interface Process {
  id: string;
  root_id: string;
  parent_id: string | null;
  name: string;
  kind: string;
  state: string;
  native_id: string | null;
  attempt: number;
  started_us: number | null;
  ended_us: number | null;
  elapsed_ns: number | null;
  worker_id: string | null;
  thread: string | null;
  source: Source | null;
  error: Failure | null;
  reason: string | null;
  exit_code: number | null;
  signal: number | null;
  attachment: string;
  orphan: boolean;
  links: Link[];
  fields: Record<string, unknown>;
  progress: Progress | null;
  fold?: Fold | null;
}

/** What a fold stands for: calls of one name below one parent. */
export interface Fold {
  count: number;
  running: number;
  failed: number;
  cancelled: number;
  min_ns: number | null;
  max_ns: number | null;
  /** Bucket i counts durations from 1.04^i to 1.04^(i+1) ns. */
  histogram: number[][];
}

export interface Worker {
  id: string;
  hostname: string;
  pid: number;
  program: string;
  version: string | null;
  state: string;
  started_us: number | null;
  last_seen_us: number;
  lost_us: number | null;
}

export interface RootPage {
  roots: Root[];
  next_cursor: string | null;
  as_of: number;
}

export interface Dropped {
  /** Of the events. */
  type: string;
  reason: string;
  count: number;
}

export interface TreePage {
  root: Root;
  processes: Process[];
  ignored_parents: number;
  /** What its programs could not keep or send of it. */
  dropped: Dropped[];
  next_cursor: string | null;
  as_of: number;
}

export interface WorkerPage {
  workers: Worker[];
  next_cursor: string | null;
  as_of: number;
}

/** What an event of the stream carries: the event, and the read models after it. */
export interface Change {
  root: Root | null;
  process: Process | null;
  worker: Worker | null;
}

/** RFC 9457. */
export interface Problem {
  title?: string;
  status?: number;
  detail?: string;
}
