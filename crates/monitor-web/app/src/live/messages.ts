/** What passes between the one stream of the browser and its pages. */
import type { ModelName, Models } from "./models.ts";

/** What a subscriber wants to hear of: these models, of one tree or of everything. */
export interface Interest {
  models: readonly ModelName[];
  tree?: string;
}

/** What all subscribers together want of the server. */
export interface Wanted {
  /** Trees that are told in full. */
  trees: readonly string[];
  subjects: readonly string[];
}

/** A read model and the stream number that it is true at. */
export interface Dated<Model> {
  asOf: number;
  model: Model;
}

/** The newest state of everything that changed since the last batch, and each line that was said, in the order in which it was stored. */
export interface Batch {
  models: { [Name in ModelName]?: Dated<Models[Name]>[] };
  /** The numbers of roots that are no longer kept. */
  dropped: number[];
}

export interface Connection {
  state: "connecting" | "live" | "catching-up" | "broken";
  /** When the server was last heard of, by the browser's clock. */
  lastDataMs: number | null;
}

/** Alerts that fire: how many, and the number of the newest. The version rises when anything of an alert or a heartbeat changes. */
export interface Firing {
  firing: number;
  newest: number;
  version: number;
}

export type FromPage =
  | { type: "watch"; interest: Interest }
  /** The page has loaded what was true at `asOf` and needs all that came after. */
  | { type: "loaded"; asOf: number }
  | { type: "bye" };

export type ToPage =
  | { type: "batch"; batch: Batch }
  | { type: "connection"; connection: Connection }
  | { type: "alerts"; alerts: Firing }
  /** Something was missed: load again. */
  | { type: "reset" };
