/** Requests about tasks of queues. */
import { client, unwrap } from "./client.ts";
import type { QueueTasksPage, Queues } from "./types.ts";

export function fetchQueueTasks(query: { state?: string; worker?: string; queue?: string; sort?: string; q?: string; cursor?: string; limit: number }, signal: AbortSignal): Promise<QueueTasksPage> {
  return unwrap(client.GET("/api/v1/queue-tasks", { params: { query }, signal }));
}

/** How many tasks each queue has, by state. */
export function fetchQueues(signal: AbortSignal): Promise<Queues> {
  return unwrap(client.GET("/api/v1/queues", { signal }));
}
