/** The HTTP client: typed requests, and errors with the server's message. */
import createClient from "openapi-fetch";
import type { operations, paths } from "./schema.ts";
import { ask, origin } from "./server.ts";
import type { CausesPage, Diagnosis, ErrorsPage, LogsPage, Me, NamesPage, Problem, ProcessDetail, ProcessPage, RootPage, StatsPage, StatsSeries, Status, Tokens, TreePage, Worker, WorkerPage } from "./types.ts";

export type RootQuery = NonNullable<operations["get_roots"]["parameters"]["query"]>;

/** An unsuccessful response; `status` is 0 if there was no response. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

export const client = createClient<paths>({ baseUrl: origin, fetch: send });

async function send(request: Request): Promise<Response> {
  try {
    const answer = await ask(request);
    if (answer.status === 401) logIn();
    return answer;
  } catch (cause) {
    if (request.signal.aborted) throw cause;
    throw new ApiError("", 0);
  }
}

/** Opens the login page, which returns to the current page afterwards. */
function logIn(): void {
  location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
}

/** Returns the body of a response or throws an `ApiError`. `Body` is the model as the server writes it: see `types.ts`. */
export async function unwrap<Body>(answer: Promise<{ data?: unknown; error?: Problem | unknown; response: Response }>): Promise<Body> {
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

/** Sends a request without a body, for actions. */
async function act(method: string, path: string): Promise<Response> {
  const response = await send(new Request(new URL(path, origin), { method }));
  if (response.ok) return response;
  const problem = (await response.json().catch(() => ({}))) as Problem;
  throw new ApiError(problem.detail || problem.title || response.statusText, response.status);
}

export const rootPath = (root: string) => `/api/v1/roots/${encodeURIComponent(root)}`;

type QueryOf<Operation extends keyof operations> = operations[Operation]["parameters"] extends { query?: infer Query } ? NonNullable<Query> : never;

/** Returns the processes with this id in the newest trees. */
export function fetchProcessesOfId(id: string, signal: AbortSignal): Promise<ProcessPage> {
  return unwrap(client.GET("/api/v1/processes/{id}", { params: { path: { id } }, signal }));
}

export function fetchNames(query: QueryOf<"get_names">, signal: AbortSignal): Promise<NamesPage> {
  return unwrap(client.GET("/api/v1/roots/names", { params: { query }, signal }));
}

/** Returns the log lines of a process, or of a whole tree. */
export function fetchLogs(root: string, process: string | undefined, query: QueryOf<"get_root_logs">, signal: AbortSignal): Promise<LogsPage> {
  if (process === undefined) return unwrap(client.GET("/api/v1/roots/{root}/logs", { params: { path: { root }, query }, signal }));
  return unwrap(client.GET("/api/v1/roots/{root}/processes/{id}/logs", { params: { path: { root, id: process }, query }, signal }));
}

/** Returns a process, and links to it from other trees. */
export function fetchProcess(root: string, id: string, signal: AbortSignal): Promise<ProcessDetail> {
  return unwrap(client.GET("/api/v1/roots/{root}/processes/{id}", { params: { path: { root, id } }, signal }));
}

/** Returns the doctor's findings about a process. */
export function fetchDoctor(root: string, process: string, signal: AbortSignal): Promise<Diagnosis> {
  return unwrap(client.GET("/api/v1/doctor", { params: { query: { root, process } }, signal }));
}

export function fetchStats(query: QueryOf<"get_stats">, signal: AbortSignal): Promise<StatsPage> {
  return unwrap(client.GET("/api/v1/stats", { params: { query }, signal }));
}

export function fetchSeries(query: QueryOf<"get_series">, signal: AbortSignal): Promise<StatsSeries> {
  return unwrap(client.GET("/api/v1/stats/series", { params: { query }, signal }));
}

export function fetchCauses(query: QueryOf<"get_causes">, signal: AbortSignal): Promise<CausesPage> {
  return unwrap(client.GET("/api/v1/stats/causes", { params: { query }, signal }));
}

export function fetchErrors(query: QueryOf<"get_errors">, signal: AbortSignal): Promise<ErrorsPage> {
  return unwrap(client.GET("/api/v1/stats/errors", { params: { query }, signal }));
}

export function fetchProcesses(query: NonNullable<operations["get_processes"]["parameters"]["query"]>, signal: AbortSignal): Promise<ProcessPage> {
  return unwrap(client.GET("/api/v1/processes", { params: { query }, signal }));
}

export async function pinRoot(root: string, pinned: boolean): Promise<void> {
  await act(pinned ? "POST" : "DELETE", `${rootPath(root)}/pin`);
}

export async function deleteRoot(root: string): Promise<void> {
  await act("DELETE", rootPath(root));
}

export const EXPORTS = ["html", "json", "ndjson", "perfetto", "otlp", "junit"] as const;

/** Returns the file name of an export. */
export function exportName(of: string | number, format: (typeof EXPORTS)[number]): string {
  if (format === "junit") return `${of}.junit.xml`;
  return format === "perfetto" || format === "otlp" ? `${of}.${format}.json` : `${of}.${format}`;
}

/** Returns the address of a run's export. */
export function exportAddress(root: string, format: (typeof EXPORTS)[number]): string {
  return `${rootPath(root)}/export?format=${format}`;
}

export async function exportRoot(root: string, format: (typeof EXPORTS)[number]): Promise<Blob> {
  return (await act("GET", exportAddress(root, format))).blob();
}

export function fetchMe(signal: AbortSignal): Promise<Me> {
  return unwrap(client.GET("/api/v1/me", { signal }));
}

export function fetchTokens(signal: AbortSignal): Promise<Tokens> {
  return unwrap(client.GET("/api/v1/tokens", { signal }));
}
