/** The request that ends what runs. */
import { client, unwrap } from "./client.ts";
import type { Cancelled } from "./types.ts";

/** Has a process end and all below it, or a whole tree. `isDry` only says what would end and who would be told. */
export function cancelTree(root: string, process: string | undefined, isDry: boolean): Promise<Cancelled> {
  return unwrap(client.POST("/api/v1/roots/{root}/cancel", { params: { path: { root } }, body: { dry_run: isDry, ...(process !== undefined && { process }) } }));
}
