/**
 * Estimates the clock differences between workers from their processes: a child on another worker can neither start before its parent nor
 * end after it, unless the parent does not wait for it. Pure; times are µs.
 */
import type { Tree } from "./tree.ts";

/** Smaller differences may be caused by the time a message takes. */
const LEAST_US = 1000;
/** Kinds of processes that are put into a queue. Their parents do not wait for them. */
const QUEUED = ["task", "group"];

/** Returns the correction of each worker's times; only workers whose clock differs are included. */
export function clockOffsets(tree: Tree, order: Int32Array): Map<string, number> {
  /** For each worker, the worker that called it, and the bounds of the clock correction. */
  const bounds = new Map<string, { above: string; low: number; high: number }>();
  for (const slot of order) {
    const parent = tree.parentOf(slot);
    if (parent === undefined || tree.isOrphan(slot)) continue;
    const worker = tree.originOf(slot).worker_id;
    const above = tree.originOf(parent).worker_id;
    if (worker === null || above === null || worker === above) continue;
    const known = bounds.get(worker) ?? { above, low: -Infinity, high: Infinity };
    if (known.above !== above) continue;
    const begins = tree.startOf(parent) - tree.startOf(slot);
    if (!Number.isNaN(begins)) known.low = Math.max(known.low, begins);
    const ends = tree.endOf(parent) - tree.endOf(slot);
    // A child that takes longer than its parent outlives it, so its times don't show a clock difference.
    const fits = !QUEUED.includes(tree.siteOf(slot).kind) && tree.elapsedOf(slot) <= tree.elapsedOf(parent);
    if (!Number.isNaN(ends) && fits) known.high = Math.min(known.high, ends);
    bounds.set(worker, known);
  }
  const offsets = new Map<string, number>();
  for (const [worker, { above, low, high }] of bounds) {
    // Contradicting bounds can't be explained by a constant difference.
    if (low > high) continue;
    const own = low > LEAST_US ? low : high < -LEAST_US ? high : 0;
    const total = own + (offsets.get(above) ?? 0);
    if (Math.abs(total) > LEAST_US) offsets.set(worker, total);
  }
  return offsets;
}
