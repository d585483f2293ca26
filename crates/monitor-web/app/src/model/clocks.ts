/**
 * By how much the clocks of workers are off against each other, as far as their processes tell: what a process starts elsewhere can
 * neither begin before it nor end after it. Pure; µs.
 */
import type { Tree } from "./tree.ts";

/** Less is the time that a message takes. */
const LEAST_US = 1000;

/** What is to be added to the times of a worker; only of those that are off. */
export function clockOffsets(tree: Tree, order: Int32Array): Map<string, number> {
  /** For each worker the one that its work came from, and between what its clock may have to be moved. */
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
    // Whoever outlives its parent says nothing of its clock.
    const fits = tree.elapsedOf(slot) <= tree.elapsedOf(parent);
    if (!Number.isNaN(ends) && fits) known.high = Math.min(known.high, ends);
    bounds.set(worker, known);
  }
  const offsets = new Map<string, number>();
  for (const [worker, { above, low, high }] of bounds) {
    // Bounds that contradict each other tell of no single offset.
    if (low > high) continue;
    const own = low > LEAST_US ? low : high < -LEAST_US ? high : 0;
    const total = own + (offsets.get(above) ?? 0);
    if (Math.abs(total) > LEAST_US) offsets.set(worker, total);
  }
  return offsets;
}
