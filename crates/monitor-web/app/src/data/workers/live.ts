/** All workers, from the stream and from requests. */
import { fetchWorker, fetchWorkers } from "../../api/client.ts";
import type { Worker } from "../../api/types.ts";
import type { Dated } from "../../live/messages.ts";
import { type LiveModel, putNewest } from "../live.ts";

const MOST_READ = 1000;
const MOST_BEATS = 30;

const workers = new Map<string, Dated<Worker>>();
/** Times of each worker's latest heartbeats, as received by this page. */
const beats = new Map<string, number[]>();
const asked = new Set<string>();
/** True once the list was read. An unknown worker is then older than the list and is requested separately. */
let wereRead = false;
let changes = 0;

export const live: LiveModel<"worker"> = {
  name: "worker",
  take: (dated) => {
    put(dated);
    const { id, last_seen_us } = dated.model;
    const known = beats.get(id) ?? [];
    if (known[known.length - 1] !== last_seen_us) beats.set(id, [...known, last_seen_us].slice(-MOST_BEATS));
  },
  readAgain: () => {
    for (const each of [workers, beats, asked]) each.clear();
  },
  read: async () => {
    try {
      const page = await fetchWorkers({ limit: MOST_READ });
      for (const model of page.workers) put({ model, asOf: page.as_of });
      return page.as_of;
    } catch {
      // The lists show the error; workers are requested individually when rows need them.
      return undefined;
    } finally {
      wereRead = true;
    }
  },
};

function put(dated: Dated<Worker>): void {
  if (putNewest(workers, dated.model.id, dated)) changes += 1;
}

export function liveWorkers(): ReadonlyMap<string, Dated<Worker>> {
  return workers;
}

/** Increases whenever a worker is added or changes: for `useSyncExternalStore` with `liveStore.subscribe`. */
export function workersVersion(): number {
  return changes;
}

/** Returns the heartbeat times of a worker, oldest first, as received by this page. */
export function beatsOf(id: string): readonly number[] {
  return beats.get(id) ?? [];
}

/** Returns a worker. An unknown one is requested and becomes available with a later version. */
export function knownWorker(id: string): Worker | undefined {
  const known = workers.get(id)?.model;
  if (!known && wereRead && !asked.has(id)) {
    asked.add(id);
    fetchWorker(id).then(
      (model) => put({ model, asOf: 0 }),
      // The name is omitted; other requests show the error.
      () => undefined,
    );
  }
  return known;
}
