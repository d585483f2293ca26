/**
 * Models that are kept current for the whole page: the newest version of each model that the stream has sent since the page was opened.
 * Each folder of `data/` defines its model in `live.ts`.
 */
import { type Subscription, alertsStore, subscribe } from "../live/live.ts";
import type { Batch, Dated } from "../live/messages.ts";
import type { ModelName, Models } from "../live/models.ts";

/** The export `live` of a folder in `data/`. */
export interface LiveModel<Name extends ModelName = ModelName> {
  name: Name;
  take(dated: Dated<Models[Name]>): void;
  /** Removes roots that retention has deleted, by their numbers. */
  drop?(numbers: readonly number[]): void;
  /**
   * Returns true if the map is so large that the lists should be read again, so that a page that is open for days does not grow.
   */
  isFull?(): boolean;
  /** Reads the initial data; resolves to the stream number at which it was current. */
  readAgain(): void;
  /** Reads what there is when the page begins; resolves with the point of the stream at which it was true. */
  read?(): Promise<number | undefined>;
}

/**
 * Subject whose changes cause a query to be repeated. `alerts` includes active and past alerts, their rules, messages and mutes, and the
 * heartbeats.
 */
export type Topic = ModelName | "alerts";

const files = import.meta.glob<{ live: LiveModel }>("./*/live.ts", { eager: true });
const listeners = new Set<() => void>();
/** Version of each topic, increased by each stream event about it. */
const versions = new Map<Topic, number>();
let version = 0;
let frame = 0;
let subscription: Subscription | undefined;

const all = () => Object.values(files).map(({ live }) => live);

/** Subscribes to the stream. Called before anything is loaded, so that no event in between is missed. */
export function startLive(): void {
  if (subscription) return;
  subscription = subscribe({ models: all().map(({ name }) => name) }, { batch: take, reset: readAgain });
  let known = alertsStore.get()?.version;
  alertsStore.subscribe(() => {
    const told = alertsStore.get()?.version;
    if (told !== known) changed("alerts");
    known = told;
  });
  void read();
}

/** Returns a number that increases with each stream event about one of the topics. */
export function versionOf(topics: readonly Topic[]): number {
  return topics.reduce((sum, topic) => sum + (versions.get(topic) ?? 0), 0);
}

/** Reports the stream number at which loaded data was current. */
export function wasTrueAt(asOf: number): void {
  subscription?.loaded(asOf);
}

/** For `useSyncExternalStore`: the version, which increases at most once per frame. */
export const liveStore = {
  get: () => version,
  subscribe: (listener: () => void) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },
};

/** Puts a model into a map unless the map has a newer version; returns true if it did. */
export function putNewest<Model>(map: Map<string, Dated<Model>>, id: string, { asOf, model }: Dated<Model>): boolean {
  if ((map.get(id)?.asOf ?? -1) >= asOf) return false;
  map.set(id, { model, asOf });
  tellChanged();
  return true;
}

/** Notifies all listeners in the next frame. */
export function tellChanged(): void {
  frame ||= requestAnimationFrame(() => {
    frame = 0;
    version += 1;
    for (const listener of listeners) listener();
  });
}

function changed(topic: Topic): void {
  versions.set(topic, (versions.get(topic) ?? 0) + 1);
  tellChanged();
}

function take({ models, dropped }: Batch): void {
  for (const live of all()) {
    const told = models[live.name] ?? [];
    for (const dated of told) live.take(dated as never);
    if (dropped.length > 0) live.drop?.(dropped);
    if (told.length > 0 || (dropped.length > 0 && live.drop)) changed(live.name);
  }
  if (all().some((live) => live.isFull?.())) readAgain();
}

function readAgain(): void {
  for (const live of all()) {
    live.readAgain();
    changed(live.name);
  }
  void read();
}

async function read(): Promise<void> {
  for (const { read } of all()) {
    const asOf = await read?.();
    if (asOf !== undefined) wasTrueAt(asOf);
  }
}
