/** Requests about batch tasks. */
import { client, unwrap } from "./client.ts";
import type { operations } from "./schema.ts";
import type { BatchExplanation, BatchRunsPage, BatchTask, BatchTasksPage, BatchVersions, Command, NextDues } from "./types.ts";

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

/** Ends one of a task's runs. */
export function endBatchRun(name: string, run: string): Promise<Command> {
  return unwrap(client.POST("/api/v1/batch-tasks/{name}/kill", { params: { path: { name } }, body: { run } }));
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
