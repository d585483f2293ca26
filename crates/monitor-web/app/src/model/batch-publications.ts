/** Publications of a batch task, and files that runs have left for other tasks. */
import type { BatchLeft, BatchPublication } from "../api/types.ts";

/** A publication by its number, or the files that a run has left by the run's id, on its agent. */
export interface Published {
  id: string;
  agent: string;
}

/** Returns the previous completed publication of the same agent and target. `all` is sorted newest first. */
export function publicationBefore(all: readonly BatchPublication[], of: BatchPublication): Published | undefined {
  const before = all.find((other) => other.agent === of.agent && other.target === of.target && other.state === "done" && other.number < of.number);
  return before && { id: String(before.number), agent: before.agent };
}

/** Returns the files that the previous run on the same agent has left. `all` is sorted newest first. */
export function leftBefore(all: readonly BatchLeft[], of: BatchLeft): Published | undefined {
  const before = all.find((other) => other.agent === of.agent && other.folder < of.folder);
  return before && { id: before.run, agent: before.agent };
}
