import { type OpenStream } from "./hub.ts";
import type { Wanted } from "./messages.ts";
import { readEvents } from "./sse.ts";

/** A page that has missed more events than this reloads its data, which is faster. */
const WITHIN = 200_000;
/** Maximum number of trees that the server accepts in one request; with more trees, all events are requested. */
const MOST_TREES = 100;

/** Opens the server's event stream. */
export const openStream: OpenStream = (after, wanted, signal, silenceMs, on) =>
  readEvents(`/api/v1/stream?after=${after}&within=${WITHIN}&alerts=true${queryOf(wanted)}`, signal, silenceMs, on);

export function queryOf({ trees, subjects }: Wanted): string {
  if (trees.length > MOST_TREES) return "";
  return (subjects.length > 0 ? `&subject=${subjects.join()}` : "") + (trees.length > 0 ? `&root=${trees.join()}` : "");
}
