/** The models that the stream tells of, by the names that they have in a message. A new one is a line in each of these two. */
import type { Change, LogLine, Process, Root, Worker } from "../api/types.ts";

export interface Models {
  root: Root;
  process: Process;
  worker: Worker;
  log: LogLine;
  /** The name of the batch task or agent that an event without a tree is about. */
  batch: string;
}

export type ModelName = keyof Models;

interface About<Model> {
  /** Takes it from a message; without it, it is what the message has by this name. */
  of?: (change: Change) => Model | undefined;
  /** By what the newest replaces the one before; without it each is handed on. */
  id?: (model: Model) => string;
  /** The `subject` that the server is asked for by whoever wants it of everything. Without one it comes unasked, or of single trees alone. */
  subject?: string;
  /** It is of no tree: whoever wants one tree wants it of everything. */
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

/** What an event tells of a batch task or of an agent, apart from the runs, which are trees. */
function batchOf({ event }: Change): string | undefined {
  const { type, task, agent } = event as { type: string; task?: string; agent?: string };
  return BATCH_EVENTS.has(type) ? (task ?? agent ?? "") : undefined;
}
