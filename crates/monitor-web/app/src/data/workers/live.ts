/** All workers, as the stream told and as they were read. */
import { fetchWorker, fetchWorkers } from "../../api/client.ts";
import type { Worker } from "../../api/types.ts";
import type { Dated } from "../../live/messages.ts";
import { type LiveModel, putNewest } from "../live.ts";

const MOST_READ = 1000;
const MOST_BEATS = 30;

const workers = new Map<string, Dated<Worker>>();
/** When each worker was heard of, the last times that the page saw it. */
const beats = new Map<string, number[]>();
const asked = new Set<string>();
/** From then on, who is not known is an older one and worth a question of its own. */
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
      // The lists say what is wrong; workers are asked for one by one as rows need them.
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

/** Rises whenever a worker comes or changes: for `useSyncExternalStore` with `liveStore.subscribe`. */
export function workersVersion(): number {
  return changes;
}

/** When a worker was heard of, oldest first, as far as this page saw it. */
export function beatsOf(id: string): readonly number[] {
  return beats.get(id) ?? [];
}

/** A worker; one that is not known yet is asked for and comes with a later version. */
export function knownWorker(id: string): Worker | undefined {
  const known = workers.get(id)?.model;
  if (!known && wereRead && !asked.has(id)) {
    asked.add(id);
    fetchWorker(id).then(
      (model) => put({ model, asOf: 0 }),
      // Its name is left out; whatever else concerns it says so itself.
      () => undefined,
    );
  }
  return known;
}
