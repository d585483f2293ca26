/** Positions of the processes of a tree on a timeline. Pure; times are µs from the timeline's origin. */
import type { Origin } from "./columns.ts";
import type { LaneName } from "./lanes.ts";
import { STATES } from "./state.ts";
import type { Tree } from "./tree.ts";

const FAILED = STATES.indexOf("failed");
/** Maximum number of rows in a lane; further simultaneous processes share the last row. */
const MOST_ROWS = 400;

export interface Lane {
  label: string;
  /** Its first row among all rows. */
  firstRow: number;
  rows: number;
}

/** A bar for each process that has started. Bars are sorted by row, then by start. */
export interface Layout {
  originUs: number;
  slots: Int32Array;
  starts: Float64Array;
  /** Infinity while it runs. */
  ends: Float64Array;
  /** Index into `STATES`; greater for unknown states. */
  states: Uint8Array;
  /** Index of the first bar of each row, followed by the number of bars. */
  rowStarts: Int32Array;
  /** Bar of each slot; -1 if it has none. */
  barOf: Int32Array;
  /** Bars of failed processes. */
  failed: Int32Array;
  lanes: Lane[];
  /** Latest start or end. */
  lastUs: number;
}

const unshifted = () => 0;

/** Computes the layout: the processes of a lane are below their parents, without overlaps. */
export function layOut(tree: Tree, order: Int32Array, originUs: number, laneOf: (origin: Origin) => LaneName, shiftOf: (origin: Origin) => number = unshifted): Layout {
  // By the number of the origin, because there are few origins compared with processes.
  const shifts = new Map<number, number>();
  const shift = (slot: number) => {
    const origin = tree.originNumber(slot);
    let known = shifts.get(origin);
    if (known === undefined) shifts.set(origin, (known = shiftOf(tree.originOf(slot))));
    return known;
  };
  // Computed once per slot, because there may be millions, and each is compared many times.
  const from = new Float64Array(tree.size);
  const to = new Float64Array(tree.size);
  const bars: number[] = [];
  for (const slot of order) {
    const start = tree.startOf(slot);
    if (Number.isNaN(start)) continue;
    const shifted = shift(slot);
    from[slot] = start - originUs + shifted;
    to[slot] = endOf(tree, slot, originUs) + shifted;
    bars.push(slot);
  }
  // A stable sort keeps processes with the same start in tree order.
  bars.sort((a, b) => (from[a] as number) - (from[b] as number));

  const laneIndex = new Map<string, number>();
  // Processes of the same worker and thread are in the same lane for every kind of lanes.
  const laneByOrigin = new Map<number, number>();
  const lanes: (Lane & { ends: Float64Array })[] = [];
  const laneOfSlot = new Int32Array(tree.size).fill(-1);
  const rowOfSlot = new Int32Array(tree.size);
  let lastUs = 0;
  for (const slot of bars) {
    const origin = tree.originNumber(slot);
    let index = laneByOrigin.get(origin);
    if (index === undefined) {
      const { key, label } = laneOf(tree.originOf(slot));
      index = laneIndex.get(key) ?? lanes.length;
      if (index === lanes.length) lanes.push({ label, firstRow: 0, rows: 0, ends: new Float64Array(MOST_ROWS).fill(-Infinity) });
      laneIndex.set(key, index);
      laneByOrigin.set(origin, index);
    }
    const lane = lanes[index] as (typeof lanes)[number];
    const parent = tree.parentOf(slot);
    let row = parent !== undefined && laneOfSlot[parent] === index ? (rowOfSlot[parent] as number) + 1 : 0;
    const [start, end] = [from[slot] as number, to[slot] as number];
    while (row < MOST_ROWS - 1 && (lane.ends[row] as number) > start) row += 1;
    row = Math.min(row, MOST_ROWS - 1);
    lane.ends[row] = Math.max(lane.ends[row] as number, end, start + 1);
    lane.rows = Math.max(lane.rows, row + 1);
    laneOfSlot[slot] = index;
    rowOfSlot[slot] = row;
    lastUs = Math.max(lastUs, start, Number.isFinite(end) ? end : start);
  }
  let rows = 0;
  for (const lane of lanes) {
    lane.firstRow = rows;
    rows += lane.rows;
  }

  // Sort by row; within a row they are already sorted by start.
  const rowStarts = new Int32Array(rows + 1);
  const rowOf = (slot: number) => (lanes[laneOfSlot[slot] as number] as Lane).firstRow + (rowOfSlot[slot] as number);
  for (const slot of bars) (rowStarts[rowOf(slot) + 1] as number) += 1;
  for (let row = 0; row < rows; row += 1) (rowStarts[row + 1] as number) += rowStarts[row] as number;
  const next = rowStarts.slice();
  const slots = new Int32Array(bars.length);
  const starts = new Float64Array(bars.length);
  const ends = new Float64Array(bars.length);
  const states = new Uint8Array(bars.length);
  const barOf = new Int32Array(tree.size).fill(-1);
  const failed: number[] = [];
  for (const slot of bars) {
    const row = rowOf(slot);
    const at = next[row] as number;
    next[row] = at + 1;
    slots[at] = slot;
    starts[at] = from[slot] as number;
    ends[at] = to[slot] as number;
    states[at] = tree.stateIndex(slot);
    barOf[slot] = at;
    if (states[at] === FAILED) failed.push(at);
  }
  failed.sort((a, b) => a - b);
  return { originUs, slots, starts, ends, states, rowStarts, barOf, failed: Int32Array.from(failed), lanes: lanes.map(({ label, firstRow, rows: of }) => ({ label, firstRow, rows: of })), lastUs };
}

/** Returns the end of a process. A lost or incomplete one without an end uses its last known time. */
function endOf(tree: Tree, slot: number, originUs: number): number {
  const start = (Number.isNaN(tree.startOf(slot)) ? 0 : tree.startOf(slot)) - originUs;
  const [elapsed, ended] = [tree.elapsedOf(slot), tree.endOf(slot)];
  if (!Number.isNaN(elapsed)) return start + elapsed / 1000;
  if (!Number.isNaN(ended)) return Math.max(start, ended - originUs);
  return tree.stateOf(slot) === "running" ? Infinity : start;
}

/** Returns the first bar of a row, from bar `from` on, that does not end before a time. */
export function firstBar(layout: Layout, row: number, timeUs: number, from = layout.rowStarts[row] as number): number {
  let low = from;
  let high = layout.rowStarts[row + 1] as number;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((layout.ends[middle] as number) < timeUs) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** A period during which the tree waited for one process. */
export interface Stretch {
  slot: number;
  fromUs: number;
  toUs: number;
}

/**
 * Computes the critical path to the root's end: going back from the end, always the child that ended last, recursively. The latest stretch
 * is first.
 */
export function criticalPath(tree: Tree, originUs: number, nowUs: number): Stretch[] {
  const top = tree.childrenOf(undefined)[0];
  if (top === undefined || Number.isNaN(tree.startOf(top))) return [];
  const path: Stretch[] = [];
  const span = (slot: number) => {
    const start = tree.startOf(slot);
    return { from: (Number.isNaN(start) ? Infinity : start) - originUs, to: Math.min(nowUs, endOf(tree, slot, originUs)) };
  };
  const ends = new Float64Array(tree.size);
  const byEnd = (slot: number) => {
    const begun = tree.childrenOf(slot).filter((child) => !Number.isNaN(tree.startOf(child)));
    for (const child of begun) ends[child] = span(child).to;
    return begun.sort((a, b) => (ends[b] as number) - (ends[a] as number));
  };
  const frame = (slot: number, until: number) => ({ slot, from: span(slot).from, at: until, children: byEnd(slot), next: 0 });
  const stack = [frame(top, span(top).to)];
  while (stack.length > 0) {
    const current = stack[stack.length - 1] as ReturnType<typeof frame>;
    const child = current.children[current.next];
    if (child === undefined || current.at <= current.from) {
      if (current.at > current.from) path.push({ slot: current.slot, fromUs: current.from, toUs: current.at });
      stack.pop();
      const above = stack[stack.length - 1];
      if (above) above.at = Math.min(above.at, Math.max(above.from, current.from));
      continue;
    }
    current.next += 1;
    const { from, to } = span(child);
    // It ran in parallel to a process on the path, or ended after the considered time.
    if (to > current.at || from >= current.at) continue;
    if (to < current.at) path.push({ slot: current.slot, fromUs: to, toUs: current.at });
    current.at = to;
    stack.push(frame(child, to));
  }
  return path;
}

/** A period of real time and its displayed position. */
interface Piece {
  real: number;
  shown: number;
  length: number;
  shownLength: number;
}

/** Maps real time to displayed time; idle gaps may be collapsed. */
export class TimeMap {
  private readonly pieces: Piece[] = [];
  readonly total: number;

  constructor(
    totalUs: number,
    readonly gaps: readonly (readonly [fromUs: number, toUs: number])[] = [],
    foldedTo = 0,
  ) {
    let real = 0;
    let shown = 0;
    const add = (to: number, shownLength: number) => {
      if (to <= real) return;
      this.pieces.push({ real, shown, length: to - real, shownLength });
      real = to;
      shown += shownLength;
    };
    for (const [from, to] of gaps) {
      add(from, from - real);
      add(to, foldedTo);
    }
    add(totalUs, totalUs - real);
    this.total = shown;
  }

  toShown(real: number): number {
    const piece = this.pieceAt(real, "real");
    if (!piece) return real;
    const past = real - piece.real;
    // Before the first and after the last piece, time is not scaled.
    if (past < 0 || past > piece.length) return past < 0 ? piece.shown + past : piece.shown + piece.shownLength + past - piece.length;
    return piece.shown + (past * piece.shownLength) / piece.length;
  }

  toReal(shown: number): number {
    const piece = this.pieceAt(shown, "shown");
    if (!piece) return shown;
    const past = shown - piece.shown;
    if (past < 0 || past > piece.shownLength) return past < 0 ? piece.real + past : piece.real + piece.length + past - piece.shownLength;
    return piece.real + (past * piece.length) / piece.shownLength;
  }

  private pieceAt(value: number, axis: "real" | "shown"): Piece | undefined {
    let low = 0;
    let high = this.pieces.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.pieces[middle] as Piece)[axis] <= value) low = middle;
      else high = middle - 1;
    }
    return this.pieces[low];
  }
}

/** Minimum share of a gap that is collapsed, and its share afterwards. */
const LONG_GAP = 0.1;
const FOLDED_GAP = 0.02;

/** Collapses the periods during which nothing ran except the processes that started everything. */
export function foldGaps(tree: Tree, layout: Layout, totalUs: number): TimeMap {
  const starts = new Float64Array(layout.slots.length);
  const ends = new Float64Array(layout.slots.length);
  let count = 0;
  for (let bar = 0; bar < layout.slots.length; bar += 1) {
    if (tree.parentOf(layout.slots[bar] as number) === undefined) continue;
    starts[count] = layout.starts[bar] as number;
    ends[count] = Math.max(layout.starts[bar] as number, Math.min(totalUs, layout.ends[bar] as number));
    count += 1;
  }
  if (count === 0) return new TimeMap(totalUs);
  // Starts and ends are sorted separately: nothing runs between the n-th end and the next start if exactly n processes have started by
  // then.
  const [begun, ended] = [starts.subarray(0, count).sort(), ends.subarray(0, count).sort()];
  const gaps: [number, number][] = [];
  for (let at = 0; at <= count; at += 1) {
    const until = at === 0 ? 0 : (ended[at - 1] as number);
    const from = at === count ? totalUs : (begun[at] as number);
    if (from - until > totalUs * LONG_GAP) gaps.push([until, from]);
  }
  return new TimeMap(totalUs, gaps, totalUs * FOLDED_GAP);
}

/** Summary of a time range. */
export interface RangeSum {
  count: number;
  failed: number;
  /** Total time of all processes within the range. */
  busyUs: number;
  /** The names with the most time. */
  names: { name: string; count: number; busyUs: number }[];
}

/** Sums up the leaf processes only, because the time of their ancestors would count twice. */
export function sumRange(tree: Tree, layout: Layout, fromUs: number, toUs: number, nowUs: number): RangeSum {
  const names = new Map<string, { name: string; count: number; busyUs: number }>();
  const sum: RangeSum = { count: 0, failed: 0, busyUs: 0, names: [] };
  const failed = STATES.indexOf("failed");
  for (let bar = 0; bar < layout.slots.length; bar += 1) {
    const start = layout.starts[bar] as number;
    const end = Math.min(nowUs, layout.ends[bar] as number);
    if (start > toUs || end < fromUs) continue;
    const slot = layout.slots[bar] as number;
    if (tree.childrenOf(slot).length > 0) continue;
    const busyUs = Math.max(0, Math.min(end, toUs) - Math.max(start, fromUs));
    const { name } = tree.siteOf(slot);
    const of = names.get(name) ?? { name, count: 0, busyUs: 0 };
    names.set(name, of);
    of.count += 1;
    of.busyUs += busyUs;
    sum.count += 1;
    sum.busyUs += busyUs;
    if (layout.states[bar] === failed) sum.failed += 1;
  }
  sum.names = [...names.values()].sort((a, b) => b.busyUs - a.busyUs).slice(0, 5);
  return sum;
}
