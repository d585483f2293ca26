/** Publications of a batch task, and what runs have left for others. */
import type { BatchLeft, BatchPublication } from "../api/types.ts";

/** A publication by its number, or what a run has left by the run, on its agent. */
export interface Published {
  id: string;
  agent: string;
}

/** The one before: of the same agent and target, and done. All are sorted newest first. */
export function publicationBefore(all: readonly BatchPublication[], of: BatchPublication): Published | undefined {
  const before = all.find((other) => other.agent === of.agent && other.target === of.target && other.state === "done" && other.number < of.number);
  return before && { id: String(before.number), agent: before.agent };
}

/** What the run before has left, of the same agent. All are sorted newest first. */
export function leftBefore(all: readonly BatchLeft[], of: BatchLeft): Published | undefined {
  const before = all.find((other) => other.agent === of.agent && other.folder < of.folder);
  return before && { id: before.run, agent: before.agent };
}
