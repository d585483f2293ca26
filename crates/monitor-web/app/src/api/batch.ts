/** Requests about batch tasks. */
import { client, unwrap } from "./client.ts";
import type { operations } from "./schema.ts";
import type { BatchAgents, BatchComparison, BatchDay, BatchExplanation, BatchFileText, BatchFiles, BatchLog, BatchPublications, BatchRehearsal, BatchRunsPage, BatchTask, BatchTasksPage, BatchVersions, Command, NextDues } from "./types.ts";

type QueryOf<Operation extends keyof operations> = operations[Operation]["parameters"] extends { query?: infer Query } ? NonNullable<Query> : never;
export type BatchRunsQuery = QueryOf<"get_runs">;

export function fetchBatchTasks(query: QueryOf<"get_tasks">, signal: AbortSignal): Promise<BatchTasksPage> {
  return unwrap(client.GET("/api/v1/batch-tasks", { params: { query }, signal }));
}

export function fetchBatchTask(name: string, signal: AbortSignal): Promise<BatchTask> {
  return unwrap(client.GET("/api/v1/batch-tasks/{name}", { params: { path: { name } }, signal }));
}

export function fetchBatchVersions(name: string, signal: AbortSignal): Promise<BatchVersions> {
  return unwrap(client.GET("/api/v1/batch-tasks/{name}/versions", { params: { path: { name } }, signal }));
}

export function fetchBatchRuns(query: BatchRunsQuery, signal: AbortSignal): Promise<BatchRunsPage> {
  return unwrap(client.GET("/api/v1/batch-tasks/runs", { params: { query }, signal }));
}

/** The agents that the server has heard of. */
export function fetchAgents(signal: AbortSignal): Promise<BatchAgents> {
  return unwrap(client.GET("/api/v1/agents", { signal }));
}

/** Pauses a task, or resumes it. */
export function pauseBatchTask(name: string, isPaused: boolean): Promise<BatchTask> {
  const path = { name };
  if (isPaused) return unwrap(client.POST("/api/v1/batch-tasks/{name}/pause", { params: { path }, body: {} }));
  return unwrap(client.POST("/api/v1/batch-tasks/{name}/resume", { params: { path } }));
}

/** Runs a task now, whatever its rules say. */
export function runBatchTask(name: string): Promise<Command> {
  return unwrap(client.POST("/api/v1/batch-tasks/{name}/run", { params: { path: { name } }, body: {} }));
}

/** Ends one of a task's runs, or all that run. */
export function endBatchRun(name: string, run?: string): Promise<Command> {
  return unwrap(client.POST("/api/v1/batch-tasks/{name}/kill", { params: { path: { name } }, body: run === undefined ? {} : { run } }));
}

/** Runs what a run ran once more, with the same arguments. */
export function rerunBatchRun(run: string): Promise<Command> {
  return unwrap(client.POST("/api/v1/batch-tasks/runs/{id}/rerun", { params: { path: { id: run } } }));
}

/** A piece of what a run has written, from its agent's machine. */
export function fetchRunLog(run: string, offset: number, signal: AbortSignal): Promise<BatchLog> {
  return unwrap(client.GET("/api/v1/batch-tasks/runs/{id}/log", { params: { path: { id: run }, query: { offset } }, signal }));
}

/** What was due in a time, what became of it, and what ran. */
export function fetchDay(query: QueryOf<"get_day">, signal: AbortSignal): Promise<BatchDay> {
  return unwrap(client.GET("/api/v1/batch-tasks/runs/day", { params: { query }, signal }));
}

/** What would have happened in the last month by a definition; nothing is saved. */
export function rehearse(definition: Definition, signal: AbortSignal): Promise<BatchRehearsal> {
  return unwrap(client.POST("/api/v1/batch-tasks/rehearse", { body: definition as Record<string, never>, signal }));
}

/** Each time that a task was due, or will be, and what was decided. */
export function fetchExplanation(name: string, signal: AbortSignal): Promise<BatchExplanation> {
  return unwrap(client.GET("/api/v1/batch-tasks/{name}/explain", { params: { path: { name } }, signal }));
}

/** When rules that nobody has saved yet would be due. */
export function fetchNextDues(query: QueryOf<"get_next">, signal: AbortSignal): Promise<NextDues> {
  return unwrap(client.GET("/api/v1/batch-tasks/rules/next", { params: { query }, signal }));
}

/** A definition as it is written; what it may hold is told by whoever reads it. */
export type Definition = Record<string, unknown>;

/** Saves a new task, or another definition of the version that was read. */
export function saveBatchTask(name: string, definition: Definition, version?: number): Promise<BatchTask> {
  const body = definition as Record<string, never>;
  if (version === undefined) return unwrap(client.POST("/api/v1/batch-tasks", { body }));
  return unwrap(client.PUT("/api/v1/batch-tasks/{name}", { params: { path: { name }, header: { "If-Match": `"${version}"` } }, body }));
}

export async function deleteBatchTask(name: string, version: number): Promise<void> {
  const answer = await client.DELETE("/api/v1/batch-tasks/{name}", { params: { path: { name }, header: { "If-Match": `"${version}"` } } });
  if (!answer.response.ok) await unwrap(Promise.resolve(answer));
}

/** What runs of a task have published and left, as its agents have it. */
export function fetchPublications(name: string, signal: AbortSignal): Promise<BatchPublications> {
  return unwrap(client.GET("/api/v1/batch-tasks/{name}/publications", { params: { path: { name }, query: {} }, signal }));
}

/** The files of a publication, or of what a run has left. */
export function fetchPublication(name: string, publication: string, agent: string, signal: AbortSignal): Promise<BatchFiles> {
  return unwrap(client.GET("/api/v1/batch-tasks/{name}/publications/{publication}", { params: { path: { name, publication }, query: { agent } }, signal }));
}

export function fetchPublishedFile(name: string, publication: string, path: string, agent: string, signal: AbortSignal): Promise<BatchFileText> {
  return unwrap(client.GET("/api/v1/batch-tasks/{name}/publications/{publication}/file", { params: { path: { name, publication }, query: { agent, path } }, signal }));
}

/** What another publication, `other`, has otherwise. */
export function fetchComparison(name: string, publication: string, other: string, agent: string, signal: AbortSignal): Promise<BatchComparison> {
  return unwrap(client.GET("/api/v1/batch-tasks/{name}/publications/{publication}/compare", { params: { path: { name, publication }, query: { agent, with: other } }, signal }));
}

/** Publishes again: to its own target, or to a named one what a run has left. */
export function restorePublication(name: string, publication: string, agent: string, target?: string): Promise<Command> {
  const params = { path: { name, publication }, query: { agent } };
  return unwrap(client.POST("/api/v1/batch-tasks/{name}/publications/{publication}/restore", { params, body: target === undefined ? {} : { target } }));
}
