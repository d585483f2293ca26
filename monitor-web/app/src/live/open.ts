import { type OpenStream } from "./hub.ts";
import { readEvents } from "./sse.ts";

/** A page that has missed more events than this loads anew: that is faster. */
const WITHIN = 200_000;

/** The stream of the server that this page came from. */
export const openStream: OpenStream = (after, signal, silenceMs, on) =>
  readEvents(`/api/v1/stream?after=${after}&within=${WITHIN}`, signal, silenceMs, on);
