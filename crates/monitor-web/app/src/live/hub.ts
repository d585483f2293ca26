/**
 * Owns the single event stream and distributes events to subscribers: the newest state of each changed model that a subscriber requested,
 * at most a few times per frame. Runs in a SharedWorker or in the page itself.
 */
import type { Change } from "../api/types.ts";
import type { Batch, Connection, Dated, Firing, FromPage, Interest, ToPage, Wanted } from "./messages.ts";
import { type ModelName, MODELS } from "./models.ts";
import type { ServerEvent } from "./sse.ts";

const FLUSH_MS = 15;
/** Time without events after a reconnection until all missed events are assumed to be received. */
const CAUGHT_UP_MS = 250;
const RETRY_MIN_MS = 300;
const RETRY_MAX_MS = 10_000;
/** More than two keep-alive intervals of the server. After this silence the connection is considered dead. */
const SILENCE_MS = 40_000;

/** Delay before unneeded subscriptions are removed from the stream, so that navigation from one run to the next reconnects only once. */
const NARROW_MS = 1000;

/** Opens the stream of the wanted events after a number; resolves or rejects when it ends. */
export type OpenStream = (
  after: number,
  wanted: Wanted,
  signal: AbortSignal,
  silenceMs: number,
  on: { open(): void; data(events: ServerEvent[]): void },
) => Promise<void>;

interface Subscriber {
  interest: Interest | null;
  /** All events after this number have been delivered. */
  since: number | null;
  /** Changed models by name and id. */
  changed: Map<ModelName, Map<unknown, Dated<unknown>>>;
  dropped: number[];
  send(message: ToPage): void;
}

export class Hub {
  private readonly subscribers = new Set<Subscriber>();
  private position: number | null = null;
  private connection: Connection = { state: "connecting", lastDataMs: null };
  private alerts: Firing | null = null;
  private stop: AbortController | null = null;
  /** Current request, and a function that reconnects with a new one. */
  private asked: { wanted: Wanted; again: () => void } | null = null;
  private narrowTimer: ReturnType<typeof setTimeout> | undefined;
  private flushTimer: ReturnType<typeof setTimeout> | undefined;
  private caughtUpTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly open: OpenStream) {}

  /** Registers a page; returns the handler of its messages. */
  attach(send: (message: ToPage) => void): (message: FromPage) => void {
    const subscriber: Subscriber = {
      interest: null,
      since: null,
      changed: new Map(),
      dropped: [],
      send,
    };
    return (message) => {
      if (message.type === "watch") {
        subscriber.interest = message.interest;
        subscriber.since = this.position;
        this.subscribers.add(subscriber);
        send({ type: "connection", connection: this.connection });
        if (this.alerts) send({ type: "alerts", alerts: this.alerts });
        this.adapt();
      } else if (message.type === "loaded") {
        this.loaded(subscriber, message.asOf);
      } else {
        this.subscribers.delete(subscriber);
        if (this.subscribers.size === 0) this.rest();
        else this.adapt();
      }
    };
  }

  private loaded(subscriber: Subscriber, asOf: number): void {
    this.position ??= asOf;
    subscriber.since ??= this.position;
    // Another page opened the stream after this page had loaded its data, so the events in between are missing here.
    if (asOf < subscriber.since) {
      subscriber.since = this.position;
      subscriber.send({ type: "reset" });
    }
    if (!this.stop && this.subscribers.size > 0) void this.run();
  }

  /**
   * Reconnects if the subscriptions have changed: at once to add models or trees, after a delay to remove them. The stream continues at the
   * current number, so no event is missed.
   */
  private adapt(): void {
    clearTimeout(this.narrowTimer);
    if (!this.asked) return;
    const { wanted, again } = this.asked;
    const now = wantedBy(this.subscribers);
    const lacks = (has: readonly string[], wants: readonly string[]) => wants.some((each) => !has.includes(each));
    if (lacks(wanted.trees, now.trees) || lacks(wanted.subjects, now.subjects)) again();
    else if (lacks(now.trees, wanted.trees) || lacks(now.subjects, wanted.subjects)) this.narrowTimer = setTimeout(again, NARROW_MS);
  }

  private rest(): void {
    clearTimeout(this.narrowTimer);
    this.stop?.abort();
    this.stop = null;
    this.asked = null;
    this.position = null;
    this.connection = { state: "connecting", lastDataMs: null };
  }

  private async run(): Promise<void> {
    const stop = new AbortController();
    this.stop = stop;
    let retryMs = RETRY_MIN_MS;
    let broken = false;
    while (!stop.signal.aborted) {
      const turn = new AbortController();
      const end = () => turn.abort();
      stop.signal.addEventListener("abort", end, { once: true });
      const wanted = wantedBy(this.subscribers);
      let isAsked = false;
      this.asked = {
        wanted,
        again: () => {
          isAsked = true;
          end();
        },
      };
      try {
        await this.open(this.position ?? 0, wanted, turn.signal, SILENCE_MS, {
          open: () => {
            if (turn.signal.aborted) return;
            retryMs = RETRY_MIN_MS;
            const isBehind = broken || this.connection.state === "catching-up";
            this.heard(isBehind ? "catching-up" : "live");
            if (isBehind) this.expectCaughtUp();
          },
          data: (events) => {
            if (turn.signal.aborted) return;
            broken = false;
            this.take(events);
          },
        });
      } catch {
        // An interruption is not an error: its state is shown, and the next attempt catches up.
      }
      stop.signal.removeEventListener("abort", end);
      if (stop.signal.aborted) return;
      if (isAsked) continue;
      // Until it is open again, each attempt uses the subscriptions at that time.
      this.asked = null;
      broken = true;
      this.tell({ ...this.connection, state: "broken" });
      await pause(retryMs * (0.75 + Math.random() / 2), stop.signal);
      retryMs = Math.min(retryMs * 2, RETRY_MAX_MS);
    }
  }

  private take(events: ServerEvent[]): void {
    if (this.connection.state === "catching-up") this.expectCaughtUp();
    this.heard(this.connection.state === "catching-up" ? "catching-up" : "live");
    for (const event of events) {
      if (event.id !== null) this.position = event.id;
      if (event.type === "reset") {
        for (const { send } of this.subscribers) send({ type: "reset" });
      } else if (event.type === "alerts") {
        this.alerts = JSON.parse(event.data) as Firing;
        for (const { send } of this.subscribers) send({ type: "alerts", alerts: this.alerts });
      } else if (event.id !== null && event.data !== "") {
        const change = JSON.parse(event.data) as Change;
        // Replayed events of the server's log contain the current models.
        this.sort(Math.max(event.id, change.as_of ?? 0), change);
        if (event.type === "roots-dropped") this.drop((change.event as { numbers?: number[] }).numbers ?? []);
        // When a worker is lost, its processes change in bulk; the event only names their trees.
        if (event.type.startsWith("worker-") && change.root && !change.process) this.resetTree(change.root.root_id);
      }
    }
    this.flushTimer ??= setTimeout(() => this.flush(), FLUSH_MS);
  }

  private sort(asOf: number, change: Change): void {
    const tree = change.root?.root_id ?? ("root_id" in change.event ? change.event.root_id : undefined);
    for (const { interest, changed } of this.subscribers) {
      for (const name of interest?.models ?? []) {
        const { of: read, id, treeless } = MODELS[name] as { of?: (of: Change) => unknown; id?: (of: unknown) => string; treeless?: true };
        const model = read ? read(change) : (change as { [Name in ModelName]?: unknown })[name];
        if (!model || (interest?.tree !== undefined && !treeless && interest.tree !== tree)) continue;
        const of = changed.get(name) ?? new Map<unknown, Dated<unknown>>();
        changed.set(name, of.set(id ? id(model) : model, { asOf, model }));
      }
    }
  }

  private drop(numbers: readonly number[]): void {
    const dropped = new Set(numbers);
    for (const subscriber of this.subscribers) {
      subscriber.dropped.push(...numbers);
      const roots = subscriber.changed.get("root") as Map<unknown, Dated<{ number: number }>> | undefined;
      for (const [id, { model }] of roots ?? []) if (dropped.has(model.number)) roots?.delete(id);
    }
  }

  private resetTree(rootId: string): void {
    for (const { interest, send } of this.subscribers) {
      if (interest?.tree === rootId) send({ type: "reset" });
    }
  }

  private flush(): void {
    this.flushTimer = undefined;
    for (const subscriber of this.subscribers) {
      const { changed, dropped, send } = subscriber;
      const models = Object.fromEntries([...changed].filter(([, of]) => of.size > 0).map(([name, of]) => [name, [...of.values()]]));
      if (Object.keys(models).length + dropped.length === 0) continue;
      const batch = { models, dropped } as Batch;
      subscriber.dropped = [];
      changed.clear();
      send({ type: "batch", batch });
    }
  }

  private expectCaughtUp(): void {
    clearTimeout(this.caughtUpTimer);
    this.caughtUpTimer = setTimeout(() => {
      if (this.connection.state === "catching-up") this.tell({ ...this.connection, state: "live" });
    }, CAUGHT_UP_MS);
  }

  /** Records that data arrived, and notifies the pages if the connection state changed. */
  private heard(state: Connection["state"]): void {
    const connection: Connection = { state, lastDataMs: Date.now() };
    if (state === this.connection.state) this.connection = connection;
    else this.tell(connection);
  }

  private tell(connection: Connection): void {
    this.connection = connection;
    for (const { send } of this.subscribers) send({ type: "connection", connection });
  }
}

/** Returns the union of all subscriptions. */
function wantedBy(subscribers: Iterable<{ interest: Interest | null }>): Wanted {
  const [trees, subjects] = [new Set<string>(), new Set<string>()];
  for (const { interest } of subscribers) {
    if (interest?.tree !== undefined) trees.add(interest.tree);
    else for (const name of interest?.models ?? []) if (MODELS[name].subject !== undefined) subjects.add(MODELS[name].subject);
  }
  return { trees: [...trees].sort(), subjects: [...subjects].sort() };
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
