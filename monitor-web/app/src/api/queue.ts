/** Requests about tasks of queues. */
import { client, unwrap } from "./client.ts";
import type { Command, QueueTasksPage, Queues } from "./types.ts";

export function fetchQueueTasks(query: { state?: string; worker?: string; queue?: string; sort?: string; q?: string; cursor?: string; limit: number }, signal: AbortSignal): Promise<QueueTasksPage> {
  return unwrap(client.GET("/api/v1/queue-tasks", { params: { query }, signal }));
}

/** How many tasks each queue has, by state. */
export function fetchQueues(signal: AbortSignal): Promise<Queues> {
  return unwrap(client.GET("/api/v1/queues", { signal }));
}

const REVOKE_MS = 2000;

/** Has all workers not begin these tasks, and end those that run if that is said. */
export function revokeTasks(ids: readonly string[], terminate: boolean): Promise<Command> {
  // The description says of the arguments that they are an object, and no more.
  const arguments_ = { ids, ...(terminate && { terminate }) } as unknown as Record<string, never>;
  return unwrap(client.POST("/api/v1/commands", { body: { method: "revoke", arguments: arguments_, to: {}, timeout_ms: REVOKE_MS } }));
}
