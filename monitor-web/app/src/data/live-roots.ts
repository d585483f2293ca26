/** All roots and workers that changed since the page was opened, as the stream told. */
import type { Root, Worker } from "../api/types.ts";
import { fetchWorker, fetchWorkers } from "../api/client.ts";
import { type Subscription, subscribe } from "../live/live.ts";
import type { Batch, Dated } from "../live/messages.ts";
import { queryClient } from "./query.ts";

/** Beyond this many the lists are read again instead, so that a page open for days does not grow. */
const MOST = 5000;

const roots = new Map<string, Dated<Root>>();
/** By their numbers, which no other root gets. A list that was read before they went still has them. */
const dropped = new Set<number>();
/** The ids of those among them that the stream had told of. */
const droppedIds = new Set<string>();
const workers = new Map<string, Dated<Worker>>();
/** When each worker was heard of, the last times that the page saw it. */
const beats = new Map<string, number[]>();
const MOST_BEATS = 30;
const asked = new Set<string>();
/** From then on, who is not known is an older one and worth a question of its own. */
let workersRead = false;
const listeners = new Set<() => void>();
let version = 0;
let workersChanged = 0;
let frame = 0;
let subscription: Subscription | undefined;

/** Begins to listen; before anything is loaded, so that nothing between the two is missed. */
export function startLiveRoots(): void {
  if (subscription) return;
  subscription = subscribe({ kind: "roots" }, { batch: take, reset: readAgain });
  void readWorkers();
}

/** Says at which point of the stream a list was true. */
export function rootsLoaded(asOf: number): void {
  subscription?.loaded(asOf);
}

/** For `useSyncExternalStore`: the version, which rises at most once per frame. */
export const liveRootsStore = {
  get: () => version,
  subscribe: (listener: () => void) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },
};

/** Rises whenever a worker comes or changes: for `useSyncExternalStore` with `liveRootsStore.subscribe`. */
export function workersVersion(): number {
  return workersChanged;
}

export function liveRoots(): ReadonlyMap<string, Dated<Root>> {
  return roots;
}

/** The numbers of those that are no longer kept. */
export function droppedRoots(): ReadonlySet<number> {
  return dropped;
}

/** Whether a root that the stream told of is no longer kept. */
export function wasDropped(id: string): boolean {
  return droppedIds.has(id);
}

export function liveWorkers(): ReadonlyMap<string, Dated<Worker>> {
  return workers;
}

/** When a worker was heard of, oldest first, as far as this page saw it. */
export function beatsOf(id: string): readonly number[] {
  return beats.get(id) ?? [];
}

function drop(numbers: readonly number[]): void {
  if (numbers.length === 0) return;
  for (const number of numbers) dropped.add(number);
  for (const [id, { model }] of roots) if (dropped.has(model.number) && roots.delete(id)) droppedIds.add(id);
  tell();
}

/** A worker; one that is not known yet is asked for and comes with a later version. */
export function knownWorker(id: string): Worker | undefined {
  const known = workers.get(id)?.model;
  if (!known && workersRead && !asked.has(id)) {
    asked.add(id);
    fetchWorker(id).then(
      (worker) => put(workers, worker.id, worker, 0),
      // Its name is left out; whatever else concerns it says so itself.
      () => undefined,
    );
  }
  return known;
}

function take(batch: Batch): void {
  for (const { model, asOf } of batch.roots) put(roots, model.root_id, model, asOf);
  for (const { model, asOf } of batch.workers) {
    put(workers, model.id, model, asOf);
    const known = beats.get(model.id) ?? [];
    if (known[known.length - 1] !== model.last_seen_us) beats.set(model.id, [...known, model.last_seen_us].slice(-MOST_BEATS));
  }
  drop(batch.dropped);
  if (roots.size > MOST || dropped.size > MOST) readAgain();
}

function put<Model>(map: Map<string, Dated<Model>>, id: string, model: Model, asOf: number): void {
  if ((map.get(id)?.asOf ?? -1) >= asOf) return;
  map.set(id, { model, asOf });
  if ((map as unknown) === workers) workersChanged += 1;
  tell();
}

function tell(): void {
  frame ||= requestAnimationFrame(() => {
    frame = 0;
    version += 1;
    for (const listener of listeners) listener();
  });
}

function readAgain(): void {
  roots.clear();
  dropped.clear();
  droppedIds.clear();
  workers.clear();
  beats.clear();
  asked.clear();
  for (const list of ["roots", "names", "status"]) void queryClient.invalidateQueries({ queryKey: [list] });
  void readWorkers();
}

async function readWorkers(): Promise<void> {
  try {
    const page = await fetchWorkers({ limit: 1000 });
    for (const worker of page.workers) put(workers, worker.id, worker, page.as_of);
    subscription?.loaded(page.as_of);
  } catch {
    // The lists say what is wrong; workers are asked for one by one as rows need them.
  }
  workersRead = true;
}
