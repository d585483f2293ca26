/** The one place that speaks HTTP: typed requests, and errors that say what the server said. */
import createClient from "openapi-fetch";
import type { operations, paths } from "./schema.ts";
import type { Problem, RootPage, Status, TreePage, Worker, WorkerPage } from "./types.ts";

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
    // Nobody is logged in, or no longer: the server's own page asks, and leads back.
    if (answer.status === 401) location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
    return answer;
  } catch (cause) {
    if (request.signal.aborted) throw cause;
    throw new ApiError("", 0);
  }
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
