/** Replaces `live/live.ts`: the data of a file does not change. */
import type { Subscription } from "../../live/live.ts";
import type { Connection, Firing } from "../../live/messages.ts";

export function subscribe(): Subscription {
  return { loaded: () => undefined, close: () => undefined };
}

function still<Value>(value: Value) {
  return { get: () => value, subscribe: () => () => undefined };
}

export const connectionStore = still<Connection>({ state: "live", lastDataMs: null });
export const alertsStore = still<Firing | null>(null);

/** A file has no connection that could come back. */
export const onReconnect = () => () => undefined;
