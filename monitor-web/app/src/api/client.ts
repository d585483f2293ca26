/** The one place that speaks HTTP: typed requests, and errors that say what the server said. */
import createClient from "openapi-fetch";
import type { Problem, RootPage, TreePage, Worker, WorkerPage } from "./types.ts";

interface Answer<Body> {
  responses: {
    200: { content: { "application/json": Body } };
    default: { content: { "application/problem+json": Problem } };
  };
}

export type RootQuery = { state?: string; name?: string; batch?: string; q?: string; limit?: number; cursor?: string };

interface Paths {
  "/api/v1/roots": { get: { parameters: { query?: RootQuery } } & Answer<RootPage> };
  "/api/v1/roots/{root}/tree": {
    get: { parameters: { path: { root: string }; query?: { limit?: number; cursor?: string } } } & Answer<TreePage>;
  };
  "/api/v1/workers": { get: { parameters: { query?: { limit?: number } } } & Answer<WorkerPage> };
  "/api/v1/workers/{id}": { get: { parameters: { path: { id: string } } } & Answer<Worker> };
}

/** An answer that was no success; `status` is 0 when there was no answer at all. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

const client = createClient<Paths>({ baseUrl: location.origin, fetch: send });

async function send(request: Request): Promise<Response> {
  try {
    return await fetch(request);
  } catch (cause) {
    if (request.signal.aborted) throw cause;
    throw new ApiError("", 0);
  }
}

async function unwrap<Body>(answer: Promise<{ data?: Body; error?: Problem; response: Response }>): Promise<Body> {
  const { data, error, response } = await answer;
  if (data !== undefined) return data;
  const problem: Problem = typeof error === "object" ? error : { detail: String(error ?? "") };
  throw new ApiError(problem.detail || problem.title || response.statusText, response.status);
}

export function fetchRoots(query: RootQuery, signal: AbortSignal): Promise<RootPage> {
  return unwrap(client.GET("/api/v1/roots", { params: { query }, signal }));
}

export function fetchTree(root: string, query: { limit: number; cursor?: string }, signal: AbortSignal) {
  return unwrap(client.GET("/api/v1/roots/{root}/tree", { params: { path: { root }, query }, signal }));
}

export function fetchWorkers(): Promise<WorkerPage> {
  return unwrap(client.GET("/api/v1/workers", { params: { query: { limit: 1000 } } }));
}

export function fetchWorker(id: string): Promise<Worker> {
  return unwrap(client.GET("/api/v1/workers/{id}", { params: { path: { id } } }));
}
