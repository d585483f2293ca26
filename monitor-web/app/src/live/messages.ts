/** What passes between the one stream of the browser and its pages. */
import type { LogLine, Process, Root, Worker } from "../api/types.ts";

/** What a subscriber wants to hear of: all roots and workers, or one tree. */
export type Interest = { kind: "roots" } | { kind: "tree"; rootId: string };

/** A read model and the stream number that it is true at. */
export interface Dated<Model> {
  asOf: number;
  model: Model;
}

/** The newest state of everything that changed since the last batch. */
export interface Batch {
  roots: Dated<Root>[];
  processes: Dated<Process>[];
  workers: Dated<Worker>[];
  /** What was said in the tree, in the order in which it was stored. */
  logs: LogLine[];
  /** The numbers of roots that are no longer kept. */
  dropped: number[];
}

export interface Connection {
  state: "connecting" | "live" | "catching-up" | "broken";
  /** When the server was last heard of, by the browser's clock. */
  lastDataMs: number | null;
}

export type FromPage =
  | { type: "watch"; interest: Interest }
  /** The page has loaded what was true at `asOf` and needs all that came after. */
  | { type: "loaded"; asOf: number }
  | { type: "bye" };

export type ToPage =
  | { type: "batch"; batch: Batch }
  | { type: "connection"; connection: Connection }
  /** Something was missed: load again. */
  | { type: "reset" };
