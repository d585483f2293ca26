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
  /** Nested values: objects with values by name. */
  parts: [name: string, value: unknown][];
  /** All other values, unchanged. */
  figures: [name: string, value: unknown][];
}

type Record_ = Readonly<Record<string, unknown>>;

const isRecord = (value: unknown): value is Record_ => typeof value === "object" && value !== null && !Array.isArray(value);
const numberOf = (value: unknown) => (typeof value === "number" ? value : undefined);
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

export function readStats(value: unknown): WorkerStats {
  const { pool: told, limits, queues, ...rest } = isRecord(value) ? value : {};
  const pool = readPool(told);
  const others = Object.entries(pool ? rest : { pool: told, ...rest }).filter(([name, figure]) => figure != null && (name !== "pool" || isRecord(figure)));
  const isPart = ([, figure]: [string, unknown]) => isRecord(figure) && Object.keys(figure).length > 0;
  return {
    pool,
    parts: others.filter(isPart),
    limits: list(limits).filter(isRecord).map(readLimit),
    queues: list(queues).map((queue) => String(isRecord(queue) ? queue["name"] : queue)),
    figures: others.filter((each) => !isPart(each)),
  };
}

/** Maximum number of rows of a part. */
const MOST_ROWS = 500;

/** Rows of a nested value: the path of each simple value and its text. Lists of simple values are one row; values that are null or empty have none. */
export function rowsOf(value: unknown, path = ""): [path: string, text: string][] {
  const isSimple = (part: unknown) => typeof part !== "object" && part !== undefined;
  if (value === null || value === undefined) return [];
  if (isSimple(value)) return [[path, String(value)]];
  if (Array.isArray(value) && value.every(isSimple)) return value.length > 0 ? [[path, value.join(", ")]] : [];
  const nameOf = (part: unknown, at: number) => (isRecord(part) && typeof part["name"] === "string" ? part["name"] : String(at + 1));
  const parts: [string, unknown][] = Array.isArray(value) ? value.map((part, at) => [nameOf(part, at), part]) : Object.entries(value);
  return parts.flatMap(([name, part]) => rowsOf(part, path === "" ? name : `${path} ${name}`)).slice(0, MOST_ROWS);
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
