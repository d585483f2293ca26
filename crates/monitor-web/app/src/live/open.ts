import { type OpenStream } from "./hub.ts";
import type { Wanted } from "./messages.ts";
import { readEvents } from "./sse.ts";

/** A page that has missed more events than this loads anew: that is faster. */
const WITHIN = 200_000;
/** The server takes no more of them; who has more open is told of everything. */
const MOST_TREES = 100;

/** The stream of the server that this page came from. */
export const openStream: OpenStream = (after, wanted, signal, silenceMs, on) =>
  readEvents(`/api/v1/stream?after=${after}&within=${WITHIN}&alerts=true${queryOf(wanted)}`, signal, silenceMs, on);

export function queryOf({ trees, subjects }: Wanted): string {
  if (trees.length > MOST_TREES) return "";
  return (subjects.length > 0 ? `&subject=${subjects.join()}` : "") + (trees.length > 0 ? `&root=${trees.join()}` : "");
}
