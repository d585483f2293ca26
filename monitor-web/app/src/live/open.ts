import { type OpenStream } from "./hub.ts";
import { readEvents } from "./sse.ts";

/** The stream of the server that this page came from. */
export const openStream: OpenStream = (after, signal, silenceMs, on) =>
  readEvents(`/api/v1/stream?after=${after}`, signal, silenceMs, on);
