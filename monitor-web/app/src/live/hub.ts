/**
 * Holds the one event stream and hands each subscriber what it asked for, as the newest state of
 * what changed, a few times per frame at most. Runs in a SharedWorker or in the page itself.
 */
import type { Change, LogLine, Process, Root, Worker } from "../api/types.ts";
import type { Batch, Connection, Dated, FromPage, Interest, ToPage } from "./messages.ts";
import type { ServerEvent } from "./sse.ts";

const FLUSH_MS = 15;
/** How long nothing must come after a break until all that was missed is taken to be there. */
const CAUGHT_UP_MS = 250;
const RETRY_MIN_MS = 300;
const RETRY_MAX_MS = 10_000;
/** More than two keep-alives of the server: then the connection is dead even if nobody said so. */
const SILENCE_MS = 40_000;

/** Opens the stream after a number; resolves or rejects when it is over. */
export type OpenStream = (
  after: number,
  signal: AbortSignal,
  silenceMs: number,
  on: { open(): void; data(events: ServerEvent[]): void },
) => Promise<void>;

interface Subscriber {
  interest: Interest | null;
  /** Delivered is everything after this number. */
  since: number | null;
  roots: Map<string, Dated<Root>>;
  processes: Map<string, Dated<Process>>;
  workers: Map<string, Dated<Worker>>;
  logs: LogLine[];
  dropped: number[];
  send(message: ToPage): void;
}

export class Hub {
  private readonly subscribers = new Set<Subscriber>();
  private position: number | null = null;
  private connection: Connection = { state: "connecting", lastDataMs: null };
  private stop: AbortController | null = null;
  private flushTimer: ReturnType<typeof setTimeout> | undefined;
  private caughtUpTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly open: OpenStream) {}

  /** Takes a page; what is returned handles the page's messages. */
  attach(send: (message: ToPage) => void): (message: FromPage) => void {
    const subscriber: Subscriber = {
      interest: null,
      since: null,
      roots: new Map(),
      processes: new Map(),
      workers: new Map(),
      logs: [],
      dropped: [],
      send,
    };
    return (message) => {
      if (message.type === "watch") {
        subscriber.interest = message.interest;
        subscriber.since = this.position;
        this.subscribers.add(subscriber);
        send({ type: "connection", connection: this.connection });
      } else if (message.type === "loaded") {
        this.loaded(subscriber, message.asOf);
      } else {
        this.subscribers.delete(subscriber);
        if (this.subscribers.size === 0) this.rest();
      }
    };
  }

  private loaded(subscriber: Subscriber, asOf: number): void {
    this.position ??= asOf;
    subscriber.since ??= this.position;
    // Another page began the stream after this one had loaded: what lies between is missing here.
    if (asOf < subscriber.since) {
      subscriber.since = this.position;
      subscriber.send({ type: "reset" });
    }
    if (!this.stop && this.subscribers.size > 0) void this.run();
  }

  private rest(): void {
    this.stop?.abort();
    this.stop = null;
    this.position = null;
    this.connection = { state: "connecting", lastDataMs: null };
  }

  private async run(): Promise<void> {
    const stop = new AbortController();
    this.stop = stop;
    let retryMs = RETRY_MIN_MS;
    let broken = false;
    while (!stop.signal.aborted) {
      try {
        await this.open(this.position ?? 0, stop.signal, SILENCE_MS, {
          open: () => {
            retryMs = RETRY_MIN_MS;
            this.heard(broken ? "catching-up" : "live");
            if (broken) this.expectCaughtUp();
          },
          data: (events) => this.take(events),
        });
      } catch {
        // A break is no error: its state is shown, and the next attempt catches up.
      }
      if (stop.signal.aborted) return;
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
      } else if (event.id !== null && event.data !== "") {
        const change = JSON.parse(event.data) as Change;
        // What is told again from the server's log comes with the models of now.
        this.sort(Math.max(event.id, change.as_of ?? 0), change);
        if (event.type === "roots-dropped") this.drop((change.event as { numbers?: number[] }).numbers ?? []);
        // Of the very many processes that go with a worker only their trees are named.
        if (event.type.startsWith("worker-") && change.root && !change.process) this.resetTree(change.root.root_id);
      }
    }
    this.flushTimer ??= setTimeout(() => this.flush(), FLUSH_MS);
  }

  private sort(asOf: number, { event, root, process, worker, log }: Change): void {
    for (const subscriber of this.subscribers) {
      const { interest } = subscriber;
      const inTree = interest?.kind === "tree";
      if (root && (!inTree || interest.rootId === root.root_id)) subscriber.roots.set(root.root_id, { asOf, model: root });
      if (process && inTree && interest.rootId === process.root_id) {
        subscriber.processes.set(process.id, { asOf, model: process });
      }
      if (log && inTree && "root_id" in event && interest.rootId === event.root_id) subscriber.logs.push(log);
      if (worker) subscriber.workers.set(worker.id, { asOf, model: worker });
    }
  }

  private drop(numbers: readonly number[]): void {
    const dropped = new Set(numbers);
    for (const subscriber of this.subscribers) {
      subscriber.dropped.push(...numbers);
      for (const [id, { model }] of subscriber.roots) if (dropped.has(model.number)) subscriber.roots.delete(id);
    }
  }

  private resetTree(rootId: string): void {
    for (const { interest, send } of this.subscribers) {
      if (interest?.kind === "tree" && interest.rootId === rootId) send({ type: "reset" });
    }
  }

  private flush(): void {
    this.flushTimer = undefined;
    for (const subscriber of this.subscribers) {
      const { roots, processes, workers, logs, dropped, send } = subscriber;
      if (roots.size + processes.size + workers.size + logs.length + dropped.length === 0) continue;
      const batch: Batch = {
        roots: [...roots.values()],
        processes: [...processes.values()],
        workers: [...workers.values()],
        logs,
        dropped,
      };
      subscriber.logs = [];
      subscriber.dropped = [];
      for (const map of [roots, processes, workers]) map.clear();
      send({ type: "batch", batch });
    }
  }

  private expectCaughtUp(): void {
    clearTimeout(this.caughtUpTimer);
    this.caughtUpTimer = setTimeout(() => {
      if (this.connection.state === "catching-up") this.tell({ ...this.connection, state: "live" });
    }, CAUGHT_UP_MS);
  }

  /** Notes that the server was heard of, and tells the pages when that is news to them. */
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

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
