/** The models that stream events contain, by their names in a message. A new model is a line in each of these two tables. */
import type { Change, LogLine, Process, Root, Worker } from "../api/types.ts";

export interface Models {
  root: Root;
  process: Process;
  worker: Worker;
  log: LogLine;
  /** Name of the batch task or agent of an event without a tree. */
  batch: string;
}

export type ModelName = keyof Models;

interface About<Model> {
  /** Extracts the model from a message; by default the field with this name. */
  of?: (change: Change) => Model | undefined;
  /** Key by which a newer version replaces an older version; without it, each version is delivered. */
  id?: (model: Model) => string;
  /**
   * `subject` that is requested from the server by subscribers to all trees. Without one, the model is always sent, or only for single
   * trees.
   */
  subject?: string;
  /** True if the model belongs to no tree, so that it is always delivered for all. */
  treeless?: true;
}

const BATCH_EVENTS: ReadonlySet<string> = new Set(["batch-task-changed", "agent-decided", "run-skipped", "run-missed"]);

export const MODELS: { readonly [Name in ModelName]: About<Models[Name]> } = {
  root: { id: ({ root_id }) => root_id, subject: "roots" },
  process: { id: ({ id }) => id },
  worker: { id: ({ id }) => id, treeless: true },
  log: {},
  batch: { of: batchOf, id: (name) => name, treeless: true },
};

/** Returns the batch task or agent that an event is about. Runs are not included, because they are trees. */
function batchOf({ event }: Change): string | undefined {
  const { type, task, agent } = event as { type: string; task?: string; agent?: string };
  return BATCH_EVENTS.has(type) ? (task ?? agent ?? "") : undefined;
}
