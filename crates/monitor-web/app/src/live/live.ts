/** The page's connection to the live stream. Only this module knows if the stream runs in a SharedWorker or in the page. */
import { Hub } from "./hub.ts";
import type { Batch, Connection, Firing, FromPage, Interest, ToPage } from "./messages.ts";
import { openStream } from "./open.ts";

export interface Subscription {
  /** Reports the stream number of loaded data: later events are delivered. */
  loaded(asOf: number): void;
  close(): void;
}

/** Subscribes to models. Subscribe before loading data, so that events in between are delivered, too. */
export function subscribe(interest: Interest, on: { batch(batch: Batch): void; reset(): void }): Subscription {
  const send = connect((message) => {
    if (message.type === "batch") on.batch(message.batch);
    else if (message.type === "reset") on.reset();
    else if (message.type === "alerts") alertsStore.set(message.alerts);
    else connectionStore.set(message.connection);
  });
  const watch = () => send({ type: "watch", interest });
  const bye = () => send({ type: "bye" });
  // A page that the browser restores from its back/forward cache has missed events.
  const shown = (event: PageTransitionEvent) => {
    if (!event.persisted) return;
    watch();
    on.reset();
  };
  addEventListener("pagehide", bye);
  addEventListener("pageshow", shown);
  watch();
  return {
    loaded: (asOf) => send({ type: "loaded", asOf }),
    close: () => {
      removeEventListener("pagehide", bye);
      removeEventListener("pageshow", shown);
      bye();
    },
  };
}

function connect(receive: (message: ToPage) => void): (message: FromPage) => void {
  if (typeof SharedWorker === "undefined") return attachHere(receive);
  const worker = new SharedWorker(new URL("./shared.worker.ts", import.meta.url), { type: "module" });
  const { port } = worker;
  // If the SharedWorker can't be started, all messages sent to it are sent to this page's own hub.
  const unanswered: FromPage[] = [];
  let send = (message: FromPage) => {
    unanswered.push(message);
    port.postMessage(message);
  };
  worker.onerror = () => {
    send = attachHere(receive);
    unanswered.forEach(send);
  };
  port.onmessage = ({ data }: MessageEvent<ToPage>) => {
    worker.onerror = null;
    send = (message) => port.postMessage(message);
    port.onmessage = ({ data }: MessageEvent<ToPage>) => receive(data);
    receive(data);
  };
  return (message) => send(message);
}

let hubOfThisPage: Hub | undefined;

function attachHere(receive: (message: ToPage) => void): (message: FromPage) => void {
  hubOfThisPage ??= new Hub(openStream);
  return hubOfThisPage.attach(receive);
}

/** Creates a value for `useSyncExternalStore`. */
function store<Value>(value: Value) {
  const listeners = new Set<() => void>();
  return {
    get: () => value,
    set: (next: Value) => {
      value = next;
      for (const listener of listeners) listener();
    },
    subscribe: (listener: () => void) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

export const connectionStore = store<Connection>({ state: "connecting", lastDataMs: null });
/** Active alerts; null until the server has reported them. */
export const alertsStore = store<Firing | null>(null);

/** Calls the listener when the connection has come back after an interruption. Returns a function that stops this. */
export function onReconnect(listener: () => void): () => void {
  let wasBroken = connectionStore.get().state === "broken";
  return connectionStore.subscribe(() => {
    const { state } = connectionStore.get();
    if (state === "live" && wasBroken) {
      wasBroken = false;
      listener();
    }
    wasBroken ||= state === "broken";
  });
}
