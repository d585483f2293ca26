/** Filters of the list of roots. They are stored in the page's address, so that every view can be linked. */
import type { Root, Worker } from "../api/types.ts";
import { linksOf } from "./errors.ts";

const FILTERS = ["state", "name", "batch", "worker", "q", "since"] as const;
/** Keys that set the order and start of the list; they exclude no roots. */
const VIEW = ["sort", "at"] as const;
const ALL = [...FILTERS, ...VIEW];
export type Filters = Partial<Record<(typeof ALL)[number], string>>;

/** Choices for the maximum age of a root. */
export const SINCE = { "1h": 3600, "24h": 86_400, "7d": 604_800 } as const;

function sinceUs({ since }: Filters, nowUs: number): number | undefined {
  const seconds = (SINCE as Record<string, number>)[since ?? ""];
  return seconds === undefined ? undefined : nowUs - seconds * 1e6;
}

/** Returns the filters as query parameters of the API. */
export function queryOf({ since, sort: _, at: __, ...rest }: Filters, nowUs: number): Omit<Filters, "since" | "sort" | "at"> & { started_after?: number } {
  const started_after = sinceUs({ ...(since !== undefined && { since }) }, nowUs);
  return started_after === undefined ? rest : { ...rest, started_after };
}

/** Reads the filters of an address; empty and unknown values are ignored. */
export function filtersOf(search: Record<string, unknown>): Filters {
  const filters: Filters = {};
  for (const key of ALL) {
    const value = search[key];
    if (typeof value === "string" && value !== "") filters[key] = value;
  }
  if (Number.isNaN(Date.parse(filters.at ?? "2000"))) delete filters.at;
  if (filters.sort !== "oldest") delete filters.sort;
  return filters;
}

export function isOldestFirst({ sort }: Filters): boolean {
  return sort === "oldest";
}

/** Returns the time at which the list begins, if it is not the first root. */
export function atUs({ at }: Filters): number | undefined {
  return at === undefined ? undefined : Date.parse(at) * 1000;
}

/** Returns the filters with one of them changed; an empty value removes it. */
export function withFilter(filters: Filters, key: keyof Filters, value: string): Filters {
  return filtersOf({ ...filters, [key]: value });
}

export function isFiltered(filters: Filters): boolean {
  return FILTERS.some((key) => filters[key] !== undefined);
}

/** Returns true if the filters can be applied to the list of names: only the text search is supported there. */
export function isOfNames({ q: _, ...rest }: Filters): boolean {
  return !isFiltered(rest);
}

/** Finds a worker by its id. */
export type WorkerOf = (id: string) => Worker | undefined;

/** Returns true if a root that the stream reports belongs in the list, by the same rules as the server. */
export function matches(filters: Filters, root: Root, workerOf: WorkerOf = () => undefined, nowUs = Date.now() * 1000): boolean {
  const { name, batch, worker, q } = filters;
  const since = sinceUs(filters, nowUs);
  return (
    (since === undefined || (root.started_us ?? 0) >= since) &&
    matchesState(filters, root) &&
    (name === undefined || root.name === name) &&
    (batch === undefined || root.batch === batch) &&
    (worker === undefined || (root.worker_id !== null && isOfWorker(worker, root.worker_id, workerOf))) &&
    (q === undefined || shows(root, q))
  );
}

/** Returns true if the text is the id, name (`program@host` or `program@host:pid`) or host of the worker, or a glob for its name or host. */
function isOfWorker(text: string, id: string, workerOf: WorkerOf): boolean {
  if (text === id) return true;
  const worker = workerOf(id);
  if (!worker) return false;
  const name = `${worker.program}@${worker.hostname}`;
  const pattern = new RegExp(`^${text.replace(/[\\^$+.|()[\]{}]/g, "\\$&").replace(/\*+/g, ".*").replaceAll("?", ".")}$`, "s");
  return [worker.hostname, name, `${name}:${worker.pid}`].some((each) => pattern.test(each));
}

/**
 * Returns true if the name, batch mark, error, causes or last output of a root contains the text, its number is equal to it, or its id
 * begins with it.
 */
function shows({ root_id, number, name, batch, error }: Root, q: string): boolean {
  const line = error && [linksOf(error).join(": "), error.tail ?? ""].join("\n");
  const asked = /^(?:[#<]?|.*[<:])(\d+)>$|^[#<]?(\d+)$/.exec(q.trim());
  const isBeginning = /^[0-9a-f]{4,32}$/i.test(q) && root_id.startsWith(q.toLowerCase());
  return [name, batch, line].some((text) => contains(text, q)) || isBeginning || (asked !== null && Number(asked[1] ?? asked[2]) === number);
}

/**
 * Returns true if the state matches. This filter's result may change while a root is in the list. Several states are separated by commas.
 */
export function matchesState({ state }: Filters, root: Root): boolean {
  return state === undefined || state.split(",").includes(root.state);
}

function contains(text: string | null | undefined, part: string): boolean {
  return (text ?? "").toLowerCase().includes(part.toLowerCase());
}

/** Parses a query string into plain strings, so that ids of digits remain text. */
export function parseSearch(text: string): Record<string, string> {
  return Object.fromEntries(new URLSearchParams(text));
}

export function stringifySearch(search: Record<string, unknown>): string {
  const parameters = new URLSearchParams();
  for (const [key, value] of Object.entries(search)) {
    if (typeof value === "string" && value !== "") parameters.set(key, value);
  }
  const text = parameters.toString();
  return text === "" ? "" : `?${text}`;
}
