/** Requests about batch tasks. */
import { client, unwrap } from "./client.ts";
import type { operations } from "./schema.ts";
import type { BatchRunsPage, BatchTask, BatchTasksPage, BatchVersions } from "./types.ts";

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
