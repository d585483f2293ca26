/**
 * The models that are kept true for the whole page: the newest of each that the stream has told of since the page was opened. Which these
 * are say the folders of `data/`, each in its `live.ts`.
 */
import { type Subscription, alertsStore, subscribe } from "../live/live.ts";
import type { Batch, Dated } from "../live/messages.ts";
import type { ModelName, Models } from "../live/models.ts";

/** What a folder of `data/` exports as `live`. */
export interface LiveModel<Name extends ModelName = ModelName> {
  name: Name;
  take(dated: Dated<Models[Name]>): void;
  /** Numbers of roots that are no longer kept. */
  drop?(numbers: readonly number[]): void;
  /** Whether there are so many that they are better read again, so that a page open for days does not grow. */
  isFull?(): boolean;
  /** Something was missed: forgets all, and has read again what was read before. */
  readAgain(): void;
  /** Reads what there is when the page begins; resolves with the point of the stream at which it was true. */
  read?(): Promise<number | undefined>;
}

/** What a reading depends on. `alerts` are those that fire or did, their rules, messages and hushes, and the heartbeats. */
export type Topic = ModelName | "alerts";

const files = import.meta.glob<{ live: LiveModel }>("./*/live.ts", { eager: true });
const listeners = new Set<() => void>();
/** Each rises when the stream has told of the topic. */
const versions = new Map<Topic, number>();
let version = 0;
let frame = 0;
let subscription: Subscription | undefined;

const all = () => Object.values(files).map(({ live }) => live);

/** Begins to listen; before anything is loaded, so that nothing between the two is missed. */
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

/** A number that rises when the stream has told of one of the topics. */
export function versionOf(topics: readonly Topic[]): number {
  return topics.reduce((sum, topic) => sum + (versions.get(topic) ?? 0), 0);
}

/** Says at which point of the stream something was true that the page has loaded. */
export function wasTrueAt(asOf: number): void {
  subscription?.loaded(asOf);
}

/** For `useSyncExternalStore`: the version, which rises at most once per frame. */
export const liveStore = {
  get: () => version,
  subscribe: (listener: () => void) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },
};

/** Puts a model into a map unless a newer one is there; returns whether it did. */
export function putNewest<Model>(map: Map<string, Dated<Model>>, id: string, { asOf, model }: Dated<Model>): boolean {
  if ((map.get(id)?.asOf ?? -1) >= asOf) return false;
  map.set(id, { model, asOf });
  tellChanged();
  return true;
}

/** Has all who listen look anew, with the next frame. */
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
