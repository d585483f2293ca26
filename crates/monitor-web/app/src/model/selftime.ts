/** Computes the time of a process that was not spent in its children. */
import { elapsed } from "./time.ts";
import type { Tree } from "./tree.ts";

/** In nanoseconds; overlapping children are counted once. Undefined if the duration is unknown. */
export function selfTime(tree: Tree, slot: number, nowUs: number): number | undefined {
  const process = tree.at(slot);
  const whole = elapsed(process, nowUs);
  if (whole === null || process.started_us === null) return undefined;
  const end = process.started_us + whole / 1000;
  const spans: [number, number][] = [];
  for (const child of tree.childrenOf(slot)) {
    const below = tree.at(child);
    const took = elapsed(below, nowUs);
    if (below.started_us === null || took === null) continue;
    spans.push([Math.max(below.started_us, process.started_us), Math.min(end, below.started_us + took / 1000)]);
  }
  spans.sort((a, b) => a[0] - b[0]);
  let busyUs = 0;
  let until = -Infinity;
  for (const [from, to] of spans) {
    busyUs += Math.max(0, to - Math.max(from, until));
    until = Math.max(until, to);
  }
  return Math.max(0, whole - busyUs * 1000);
}
