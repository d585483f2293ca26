/** A worker's response to `stats`, as far as the page knows its fields. A program sends it, so any field may have any type. */

export interface Pool {
  size: number;
  busy: number | undefined;
  min: number | undefined;
  max: number | undefined;
  isPaused: boolean;
  /** Times at which the pool returns to its previous size, and at which it resumes. */
  untilUs: number | undefined;
  pausedUntilUs: number | undefined;
}

export interface Limit {
  name: string;
  rate: string | undefined;
  softMs: number | undefined;
  hardMs: number | undefined;
  untilUs: number | undefined;
}

export interface WorkerStats {
  pool: Pool | undefined;
  limits: Limit[];
  queues: string[];
  /** All other values, unchanged. */
  figures: [name: string, value: unknown][];
}

type Record_ = Readonly<Record<string, unknown>>;

const isRecord = (value: unknown): value is Record_ => typeof value === "object" && value !== null && !Array.isArray(value);
const numberOf = (value: unknown) => (typeof value === "number" ? value : undefined);
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

export function readStats(value: unknown): WorkerStats {
  const { pool, limits, queues, ...rest } = isRecord(value) ? value : {};
  return {
    pool: readPool(pool),
    limits: list(limits).filter(isRecord).map(readLimit),
    queues: list(queues).map((queue) => String(isRecord(queue) ? queue["name"] : queue)),
    figures: Object.entries(rest).filter(([, figure]) => figure !== null),
  };
}

function readPool(pool: unknown): Pool | undefined {
  if (!isRecord(pool) || typeof pool["size"] !== "number") return undefined;
  const number = (name: string) => numberOf(pool[name]);
  return { size: pool["size"], busy: number("busy"), min: number("min"), max: number("max"), isPaused: pool["paused"] === true, untilUs: number("until_us"), pausedUntilUs: number("paused_until_us") };
}

function readLimit(limit: Record_): Limit {
  const { name, rate } = limit;
  return { name: String(name), rate: typeof rate === "string" ? rate : undefined, softMs: numberOf(limit["soft_ms"]), hardMs: numberOf(limit["hard_ms"]), untilUs: numberOf(limit["until_us"]) };
}
