/** Requests about tasks of queues. */
import { client, unwrap } from "./client.ts";
import type { Command, QueueRetried, QueueTasksPage, Queues } from "./types.ts";

export function fetchQueueTasks(query: { state?: string; worker?: string; queue?: string; sort?: string; q?: string; cursor?: string; limit: number }, signal: AbortSignal): Promise<QueueTasksPage> {
  return unwrap(client.GET("/api/v1/queue-tasks", { params: { query }, signal }));
}

/** How many tasks each queue has, by state. */
export function fetchQueues(signal: AbortSignal): Promise<Queues> {
  return unwrap(client.GET("/api/v1/queues", { signal }));
}

const ANSWER_MS = 2000;

/** Has all workers not begin these tasks, and end those that run if that is said. */
export function revokeTasks(ids: readonly string[], terminate: boolean): Promise<Command> {
  return unwrap(client.POST("/api/v1/queue-tasks/revoke", { body: { ids: [...ids], terminate, timeout_ms: ANSWER_MS } }));
}

/** Has tasks that have ended run again. */
export function retryTasks(ids: readonly string[]): Promise<QueueRetried> {
  return unwrap(client.POST("/api/v1/queue-tasks/retry", { body: { ids: [...ids], to: {}, timeout_ms: ANSWER_MS } }));
}
