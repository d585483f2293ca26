/** The causes of recent failures, as shown above the list of runs. */
import type { CausesPage } from "../api/types.ts";

export type Cause = CausesPage["causes"][number];

/**
 * Returns the most common causes, up to `lines`. If none of them is new but a new one exists, the last line shows the newest cause.
 * `causes` is sorted by their latest occurrence, newest first.
 */
export function commonest<Of extends Pick<Cause, "count" | "new">>(causes: readonly Of[], lines: number): Of[] {
  const found = causes.toSorted((a, b) => b.count - a.count).slice(0, lines);
  const fresh = causes.find((cause) => cause.new);
  if (fresh && found.length > 0 && !found.some((cause) => cause.new)) found[found.length - 1] = fresh;
  return found;
}

/** Returns what tells a cause from all others. Exit codes of different names have the same shape. */
export function keyOf({ shape, first_us }: Cause): string {
  return `${first_us} ${shape}`;
}

/** Returns the longest literal part of a message shape, for searching the list. */
export function searchOf(shape: string): string {
  const parts = shape.split(/[…\n]/).map((part) => part.trim());
  return parts.reduce((longest, part) => (part.length > longest.length ? part : longest), "");
}

/** Returns the full hour before a time, so that requests about the same hours have the same cached response. */
export function hourBefore(nowUs: number, hours: number): number {
  return (Math.floor(nowUs / 3.6e9) - hours) * 3.6e9;
}
