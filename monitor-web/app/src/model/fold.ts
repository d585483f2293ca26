/** What a fold says in numbers. */
import type { Fold } from "../api/types.ts";

const GROWTH = 1.04;

/** The duration that this part of those which ended stayed below, within 2 %; `null` if none ended. */
export function quantile(fold: Fold, part: number): number | null {
  const ended = fold.histogram.reduce((sum, [, count = 0]) => sum + count, 0);
  const rank = Math.max(1, Math.ceil(part * ended));
  let before = 0;
  for (const [bucket = 0, count = 0] of fold.histogram) {
    before += count;
    // In the middle of its bucket, as far as growth goes.
    if (before >= rank) return Math.min(Math.max(GROWTH ** (bucket + 0.5), fold.min_ns ?? 0), fold.max_ns ?? Number.POSITIVE_INFINITY);
  }
  return null;
}
