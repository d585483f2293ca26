/** The models that the stream tells of, by the names that they have in a message. A new one is a line in each of these two. */
import type { LogLine, Process, Root, Worker } from "../api/types.ts";

export interface Models {
  root: Root;
  process: Process;
  worker: Worker;
  log: LogLine;
}

export type ModelName = keyof Models;

interface About<Model> {
  /** By what the newest replaces the one before; without it each is handed on. */
  id?: (model: Model) => string;
  /** The `subject` that the server is asked for by whoever wants it of everything. Without one it comes unasked, or of single trees alone. */
  subject?: string;
  /** It is of no tree: whoever wants one tree wants it of everything. */
  treeless?: true;
}

export const MODELS: { readonly [Name in ModelName]: About<Models[Name]> } = {
  root: { id: ({ root_id }) => root_id, subject: "roots" },
  process: { id: ({ id }) => id },
  worker: { id: ({ id }) => id, treeless: true },
  log: {},
};
