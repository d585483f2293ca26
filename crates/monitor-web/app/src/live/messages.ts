/** Messages between the browser's single stream and its pages. */
import type { ModelName, Models } from "./models.ts";

/** A subscription: these models, of one tree or of all. */
export interface Interest {
  models: readonly ModelName[];
  tree?: string;
}

/** The union of all subscriptions, as requested from the server. */
export interface Wanted {
  /** Trees whose events are all requested. */
  trees: readonly string[];
  subjects: readonly string[];
}

/** A read model and the stream number at which it was current. */
export interface Dated<Model> {
  asOf: number;
  model: Model;
}

/** The newest state of all models that changed since the last batch, and all new log lines in the order of storage. */
export interface Batch {
  models: { [Name in ModelName]?: Dated<Models[Name]>[] };
  /** Numbers of deleted roots. */
  dropped: number[];
}

export interface Connection {
  state: "connecting" | "live" | "catching-up" | "broken";
  /** Time at which data last arrived, by the browser's clock. */
  lastDataMs: number | null;
}

/** Active alerts: their count and the number of the newest. The version increases with any change of alerts or heartbeats. */
export interface Firing {
  firing: number;
  newest: number;
  version: number;
}

export type FromPage =
  | { type: "watch"; interest: Interest }
  /** The page has loaded data that was current at `asOf`, and needs all later events. */
  | { type: "loaded"; asOf: number }
  | { type: "bye" };

export type ToPage =
  | { type: "batch"; batch: Batch }
  | { type: "connection"; connection: Connection }
  | { type: "alerts"; alerts: Firing }
  /** Events were missed: load the data again. */
  | { type: "reset" };
