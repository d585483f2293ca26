/** Requests about commands to workers. */
import { client, unwrap } from "./client.ts";
import type { Channel, Command, CommandMethods, CommandPage } from "./types.ts";

/** How commands reach a worker, and what it does when it is asked. */
export function fetchChannel(id: string, signal: AbortSignal): Promise<Channel> {
  return unwrap(client.GET("/api/v1/workers/{id}/channel", { params: { path: { id } }, signal }));
}

/** Whether a worker that is online does this when it is asked. */
export async function isOffered(method: string, signal: AbortSignal): Promise<boolean> {
  const { methods }: CommandMethods = await unwrap(client.GET("/api/v1/commands/methods", { signal }));
  return methods.some((each) => each.method === method && each.count > 0);
}

/** Asks one worker, and waits for its answer. */
export function askWorker(id: string, method: string, arguments_: Record<string, unknown>, timeoutMs: number): Promise<Command> {
  // The description says of the arguments that they are an object, and no more.
  return unwrap(client.POST("/api/v1/commands", { body: { method, arguments: arguments_ as Record<string, never>, to: { workers: [id] }, timeout_ms: timeoutMs } }));
}

/** The newest commands for a worker, each with its line. Those that only ask are left out unless they are wanted. */
export function fetchCommands(id: string, withQuestions: boolean, limit: number, signal: AbortSignal): Promise<CommandPage> {
  return unwrap(client.GET("/api/v1/commands", { params: { query: { worker: id, limit, ...(withQuestions ? {} : { scope: "operate" as const }) } }, signal }));
}
