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

/** Returns all agents that the server knows. */
export function fetchAgents(signal: AbortSignal): Promise<BatchAgents> {
  return unwrap(client.GET("/api/v1/agents", { signal }));
}

/** Pauses a task, or resumes it. */
export function pauseBatchTask(name: string, isPaused: boolean): Promise<BatchTask> {
  const path = { name };
  if (isPaused) return unwrap(client.POST("/api/v1/batch-tasks/{name}/pause", { params: { path }, body: {} }));
  return unwrap(client.POST("/api/v1/batch-tasks/{name}/resume", { params: { path } }));
}

/** Runs a task now, independently of its rules. */
export function runBatchTask(name: string): Promise<Command> {
  return unwrap(client.POST("/api/v1/batch-tasks/{name}/run", { params: { path: { name } }, body: {} }));
}

/** Ends one run of a task, or all its open runs. */
export function endBatchRun(name: string, run?: string): Promise<Command> {
  return unwrap(client.POST("/api/v1/batch-tasks/{name}/kill", { params: { path: { name } }, body: run === undefined ? {} : { run } }));
}

/** Repeats a run with the same arguments. */
export function rerunBatchRun(run: string): Promise<Command> {
  return unwrap(client.POST("/api/v1/batch-tasks/runs/{id}/rerun", { params: { path: { id: run } } }));
}

/** Returns a part of a run's output from its agent's machine. */
export function fetchRunLog(run: string, offset: number, signal: AbortSignal): Promise<BatchLog> {
  return unwrap(client.GET("/api/v1/batch-tasks/runs/{id}/log", { params: { path: { id: run }, query: { offset } }, signal }));
}

/** Returns the due times of a day, the decisions about them, and the runs. */
export function fetchDay(query: QueryOf<"get_day">, signal: AbortSignal): Promise<BatchDay> {
  return unwrap(client.GET("/api/v1/batch-tasks/runs/day", { params: { query }, signal }));
}

/** Returns the runs of the last month as a definition would have caused them; nothing is saved. */
export function rehearse(definition: Definition, signal: AbortSignal): Promise<BatchRehearsal> {
  return unwrap(client.POST("/api/v1/batch-tasks/rehearse", { body: definition as Record<string, never>, signal }));
}

/** Returns each due time of a task, past or future, and the decision about it. */
export function fetchExplanation(name: string, signal: AbortSignal): Promise<BatchExplanation> {
  return unwrap(client.GET("/api/v1/batch-tasks/{name}/explain", { params: { path: { name } }, signal }));
}

/** Returns the next due times of unsaved rules. */
export function fetchNextDues(query: QueryOf<"get_next">, signal: AbortSignal): Promise<NextDues> {
  return unwrap(client.GET("/api/v1/batch-tasks/rules/next", { params: { query }, signal }));
}

/** A definition as JSON. The server validates its keys. */
export type Definition = Record<string, unknown>;

/** Creates a task, or replaces the definition if the saved version is still `version`. */
export function saveBatchTask(name: string, definition: Definition, version?: number): Promise<BatchTask> {
  const body = definition as Record<string, never>;
  if (version === undefined) return unwrap(client.POST("/api/v1/batch-tasks", { body }));
  return unwrap(client.PUT("/api/v1/batch-tasks/{name}", { params: { path: { name }, header: { "If-Match": `"${version}"` } }, body }));
}

export async function deleteBatchTask(name: string, version: number): Promise<void> {
  const answer = await client.DELETE("/api/v1/batch-tasks/{name}", { params: { path: { name }, header: { "If-Match": `"${version}"` } } });
  if (!answer.response.ok) await unwrap(Promise.resolve(answer));
}

/** Returns the publications of a task, and the files that its runs have left, as reported by its agents. */
export function fetchPublications(name: string, signal: AbortSignal): Promise<BatchPublications> {
  return unwrap(client.GET("/api/v1/batch-tasks/{name}/publications", { params: { path: { name }, query: {} }, signal }));
}

/** Returns the files of a publication, or the files that a run has left. */
export function fetchPublication(name: string, publication: string, agent: string, signal: AbortSignal): Promise<BatchFiles> {
  return unwrap(client.GET("/api/v1/batch-tasks/{name}/publications/{publication}", { params: { path: { name, publication }, query: { agent } }, signal }));
}

export function fetchPublishedFile(name: string, publication: string, path: string, agent: string, signal: AbortSignal): Promise<BatchFileText> {
  return unwrap(client.GET("/api/v1/batch-tasks/{name}/publications/{publication}/file", { params: { path: { name, publication }, query: { agent, path } }, signal }));
}

/** Compares a publication with another one, `other`. */
export function fetchComparison(name: string, publication: string, other: string, agent: string, signal: AbortSignal): Promise<BatchComparison> {
  return unwrap(client.GET("/api/v1/batch-tasks/{name}/publications/{publication}/compare", { params: { path: { name, publication }, query: { agent, with: other } }, signal }));
}

/** Publishes again to the original target, or publishes the files that a run has left to a named target. */
export function restorePublication(name: string, publication: string, agent: string, target?: string): Promise<Command> {
  const params = { path: { name, publication }, query: { agent } };
  return unwrap(client.POST("/api/v1/batch-tasks/{name}/publications/{publication}/restore", { params, body: target === undefined ? {} : { target } }));
}
