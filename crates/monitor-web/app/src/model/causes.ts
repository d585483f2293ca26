/** What runs failed by lately, as the lines above the list tell it. */
import type { CausesPage } from "../api/types.ts";

export type Cause = CausesPage["causes"][number];

/**
 * The commonest causes, as many as there are lines for. If no line would be of a new cause and there is one, the last line is that of
 * the newest. `causes` has those in front that were there last.
 */
export function commonest<Of extends Pick<Cause, "count" | "new">>(causes: readonly Of[], lines: number): Of[] {
  const found = causes.toSorted((a, b) => b.count - a.count).slice(0, lines);
  const fresh = causes.find((cause) => cause.new);
  if (fresh && found.length > 0 && !found.some((cause) => cause.new)) found[found.length - 1] = fresh;
  return found;
}

/** The longest part of a shape that every message of it has: what the list is searched for. */
export function searchOf(shape: string): string {
  const parts = shape.split(/[…\n]/).map((part) => part.trim());
  return parts.reduce((longest, part) => (part.length > longest.length ? part : longest), "");
}

/** The whole hour before a time: questions about the same hours have one answer to share. */
export function hourBefore(nowUs: number, hours: number): number {
  return (Math.floor(nowUs / 3.6e9) - hours) * 3.6e9;
}
