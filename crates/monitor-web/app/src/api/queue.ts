/** Requests about tasks of queues. */
import { client, unwrap } from "./client.ts";
import type { Command, QueueRetried, QueueTasksPage, Queues } from "./types.ts";

export function fetchQueueTasks(query: { state?: string; worker?: string; queue?: string; sort?: string; q?: string; cursor?: string; limit: number }, signal: AbortSignal): Promise<QueueTasksPage> {
  return unwrap(client.GET("/api/v1/queue-tasks", { params: { query }, signal }));
}

/** Returns the number of tasks in each queue, by state. */
export function fetchQueues(signal: AbortSignal): Promise<Queues> {
  return unwrap(client.GET("/api/v1/queues", { signal }));
}

const ANSWER_MS = 2000;

/** Revokes tasks: workers don't start them. With `terminate`, workers also end running tasks. */
export function revokeTasks(ids: readonly string[], terminate: boolean): Promise<Command> {
  return unwrap(client.POST("/api/v1/queue-tasks/revoke", { body: { ids: [...ids], terminate, timeout_ms: ANSWER_MS } }));
}

/** Runs ended tasks again. */
export function retryTasks(ids: readonly string[]): Promise<QueueRetried> {
  return unwrap(client.POST("/api/v1/queue-tasks/retry", { body: { ids: [...ids], to: {}, timeout_ms: ANSWER_MS } }));
}
