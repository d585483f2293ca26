/** The one place that speaks HTTP: typed requests, and errors that say what the server said. */
import createClient from "openapi-fetch";
import type { operations, paths } from "./schema.ts";
import type { LogsPage, NamesPage, Problem, ProcessPage, RootPage, Status, TreePage, Worker, WorkerPage } from "./types.ts";

export type RootQuery = NonNullable<operations["get_roots"]["parameters"]["query"]>;

/** An answer that was no success; `status` is 0 when there was no answer at all. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

const client = createClient<paths>({ baseUrl: location.origin, fetch: send });

async function send(request: Request): Promise<Response> {
  try {
    const answer = await fetch(request);
    if (answer.status === 401) logIn();
    return answer;
  } catch (cause) {
    if (request.signal.aborted) throw cause;
    throw new ApiError("", 0);
  }
}

/** Where one logs in; from there the way leads back. */
function logIn(): void {
  location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
}

/** `Body` is the described model as the server writes it: see `types.ts`. */
async function unwrap<Body>(answer: Promise<{ data?: unknown; error?: Problem | unknown; response: Response }>): Promise<Body> {
  const { data, error, response } = await answer;
  if (data !== undefined) return data as Body;
  const problem: Problem = typeof error === "object" ? (error as Problem) : { detail: String(error ?? "") };
  throw new ApiError(problem.detail || problem.title || response.statusText, response.status);
}

export function fetchRoots(query: RootQuery, signal: AbortSignal): Promise<RootPage> {
  return unwrap(client.GET("/api/v1/roots", { params: { query }, signal }));
}

export function fetchTree(root: string, query: { limit: number; cursor?: string }, signal: AbortSignal): Promise<TreePage> {
  return unwrap(client.GET("/api/v1/roots/{root}/tree", { params: { path: { root }, query }, signal }));
}

export function fetchWorkers(query: { limit: number; cursor?: string }, signal?: AbortSignal): Promise<WorkerPage> {
  return unwrap(client.GET("/api/v1/workers", { params: { query }, ...(signal && { signal }) }));
}

export function fetchWorker(id: string): Promise<Worker> {
  return unwrap(client.GET("/api/v1/workers/{id}", { params: { path: { id } } }));
}

export function fetchStatus(signal: AbortSignal): Promise<Status> {
  return unwrap(client.GET("/api/v1/status", { signal }));
}

export type Query = Record<string, string | number | undefined>;

/** For what is asked by its path alone. */
async function call<Body>(path: string, { query = {}, ...init }: { query?: Query; method?: string; signal?: AbortSignal | undefined } = {}): Promise<Body> {
  const address = new URL(path, location.origin);
  for (const [name, value] of Object.entries(query)) if (value !== undefined && value !== "") address.searchParams.set(name, String(value));
  const response = await send(new Request(address, { method: init.method ?? "GET", signal: init.signal ?? null }));
  const text = await response.text();
  if (response.ok) return (text === "" ? undefined : JSON.parse(text)) as Body;
  let problem: Problem = {};
  try {
    problem = JSON.parse(text) as Problem;
  } catch {
    problem.detail = text.slice(0, 500);
  }
  throw new ApiError(problem.detail || problem.title || response.statusText, response.status);
}

const rootPath = (root: string) => `/api/v1/roots/${encodeURIComponent(root)}`;

export function fetchNames(query: Query, signal: AbortSignal): Promise<NamesPage> {
  return call("/api/v1/roots/names", { query, signal });
}

/** The lines of one process, or of a whole tree. */
export function fetchLogs(root: string, process: string | undefined, query: Query, signal: AbortSignal): Promise<LogsPage> {
  const of = process === undefined ? "" : `/processes/${process}`;
  return call(`${rootPath(root)}${of}/logs`, { query, signal });
}

export function fetchProcesses(query: NonNullable<operations["get_processes"]["parameters"]["query"]>, signal: AbortSignal): Promise<ProcessPage> {
  return unwrap(client.GET("/api/v1/processes", { params: { query }, signal }));
}

export function pinRoot(root: string, pinned: boolean): Promise<void> {
  return call(`${rootPath(root)}/pin`, { method: pinned ? "POST" : "DELETE" });
}

export function deleteRoot(root: string): Promise<void> {
  return call(rootPath(root), { method: "DELETE" });
}

export const EXPORTS = ["json", "ndjson", "perfetto", "otlp"] as const;

/** Where a root can be taken away as a file. */
export function exportAddress(root: string, format: (typeof EXPORTS)[number]): string {
  return `${rootPath(root)}/export?format=${format}`;
}
