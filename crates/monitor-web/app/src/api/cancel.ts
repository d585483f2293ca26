/** The request that cancels processes. */
import { client, unwrap } from "./client.ts";
import type { Cancelled } from "./types.ts";

/** Cancels a process with its descendants, or a whole tree. With `isDry`, only returns the affected processes and workers. */
export function cancelTree(root: string, process: string | undefined, isDry: boolean): Promise<Cancelled> {
  return unwrap(client.POST("/api/v1/roots/{root}/cancel", { params: { path: { root } }, body: { dry_run: isDry, ...(process !== undefined && { process }) } }));
}
