/** Requests about commands to workers. */
import { client, unwrap } from "./client.ts";
import type { Channel, Command, CommandMethods, CommandPage } from "./types.ts";

/** Returns how commands reach a worker, and the methods that it offers. */
export function fetchChannel(id: string, signal: AbortSignal): Promise<Channel> {
  return unwrap(client.GET("/api/v1/workers/{id}/channel", { params: { path: { id } }, signal }));
}

/** Resolves to true if at least one worker that is online offers this method. */
export async function isOffered(method: string, signal: AbortSignal): Promise<boolean> {
  const { methods }: CommandMethods = await unwrap(client.GET("/api/v1/commands/methods", { signal }));
  return methods.some((each) => each.method === method && each.count > 0);
}

/** Sends a command to one worker, and waits for its answer. */
export function askWorker(id: string, method: string, arguments_: Record<string, unknown>, timeoutMs: number): Promise<Command> {
  // The API description only specifies that the arguments are an object.
  return unwrap(client.POST("/api/v1/commands", { body: { method, arguments: arguments_ as Record<string, never>, to: { workers: [id] }, timeout_ms: timeoutMs } }));
}

/** Returns the newest commands for a worker with its answers. Commands that only read are omitted unless `withQuestions`. */
export function fetchCommands(id: string, withQuestions: boolean, limit: number, signal: AbortSignal): Promise<CommandPage> {
  return unwrap(client.GET("/api/v1/commands", { params: { query: { worker: id, limit, ...(withQuestions ? {} : { scope: "operate" as const }) } }, signal }));
}
