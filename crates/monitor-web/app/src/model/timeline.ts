/** Where the processes of a tree lie on a timeline. Pure; times are µs from the timeline's origin. */
import type { Origin } from "./columns.ts";
import type { LaneName } from "./lanes.ts";
import { STATES } from "./state.ts";
import type { Tree } from "./tree.ts";

const FAILED = STATES.indexOf("failed");
/** Beyond this many at once in a lane, the rest share its last row. */
const MOST_ROWS = 400;

export interface Lane {
  label: string;
  /** Its rows among all. */
  firstRow: number;
  rows: number;
}

/** Every process that has begun as a bar. Bars are sorted by row, in a row by start. */
export interface Layout {
  originUs: number;
  slots: Int32Array;
  starts: Float64Array;
  /** Infinity while it runs. */
  ends: Float64Array;
  /** Index into `STATES`; beyond it for others. */
  states: Uint8Array;
  /** The first bar of each row, and one more. */
  rowStarts: Int32Array;
  /** The bar of each slot, -1 without one. */
  barOf: Int32Array;
  /** The bars of those that failed. */
  failed: Int32Array;
  lanes: Lane[];
  /** When the last one ended or began. */
  lastUs: number;
}

const unshifted = () => 0;

/** Lays all processes out: those of a lane below their parents, and so that none covers another. */
export function layOut(tree: Tree, order: Int32Array, originUs: number, laneOf: (origin: Origin) => LaneName, shiftOf: (origin: Origin) => number = unshifted): Layout {
  // By the number of the origin: few of them are many processes.
  const shifts = new Map<number, number>();
  const shift = (slot: number) => {
    const origin = tree.originNumber(slot);
    let known = shifts.get(origin);
    if (known === undefined) shifts.set(origin, (known = shiftOf(tree.originOf(slot))));
    return known;
  };
  // Of each slot, once: a tree has up to millions of them, and they are compared and looked up many times.
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
  // Those that began together stay in the order of the tree.
  bars.sort((a, b) => (from[a] as number) - (from[b] as number));

  const laneIndex = new Map<string, number>();
  // Processes of one worker and thread share a lane, whatever lanes are.
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

  // Sorted by row, and within it by start as they already are.
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

/** The end of a process; what is lost or cut off without one is as short as what is known of it. */
function endOf(tree: Tree, slot: number, originUs: number): number {
  const start = (Number.isNaN(tree.startOf(slot)) ? 0 : tree.startOf(slot)) - originUs;
  const [elapsed, ended] = [tree.elapsedOf(slot), tree.endOf(slot)];
  if (!Number.isNaN(elapsed)) return start + elapsed / 1000;
  if (!Number.isNaN(ended)) return Math.max(start, ended - originUs);
  return tree.stateOf(slot) === "running" ? Infinity : start;
}

/** The first bar of a row, from bar `from` on, that does not end before a time. */
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

/** A stretch of time in which the whole waited for one process. */
export interface Stretch {
  slot: number;
  fromUs: number;
  toUs: number;
}

/**
 * What the root's end waited for: from its end back, always the child that ended last before, and within that the same.
 * Stretches come latest first.
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
    // It ran beside one that is on the path already, or ends where nobody waits for it.
    if (to > current.at || from >= current.at) continue;
    if (to < current.at) path.push({ slot: current.slot, fromUs: to, toUs: current.at });
    current.at = to;
    stack.push(frame(child, to));
  }
  return path;
}

/** A stretch of real time and where it is shown. */
interface Piece {
  real: number;
  shown: number;
  length: number;
  shownLength: number;
}

/** Real time as it is shown: with idle gaps folded, or as it is. */
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
    // Before the first and after the last piece time goes on as it is.
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

/** The part of the whole that a gap must have to be folded, and that it then takes. */
const LONG_GAP = 0.1;
const FOLDED_GAP = 0.02;

/** Folds the stretches in which nothing ran but what began it all. */
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
  // Each sorted by itself: nothing runs between the end of so many and the start of the next one if as many have begun by then.
  const [begun, ended] = [starts.subarray(0, count).sort(), ends.subarray(0, count).sort()];
  const gaps: [number, number][] = [];
  for (let at = 0; at <= count; at += 1) {
    const until = at === 0 ? 0 : (ended[at - 1] as number);
    const from = at === count ? totalUs : (begun[at] as number);
    if (from - until > totalUs * LONG_GAP) gaps.push([until, from]);
  }
  return new TimeMap(totalUs, gaps, totalUs * FOLDED_GAP);
}

/** What goes on between two times. */
export interface RangeSum {
  count: number;
  failed: number;
  /** All their time within the range together. */
  busyUs: number;
  /** The names that took most of it. */
  names: { name: string; count: number; busyUs: number }[];
}

/** Sums up the processes without any below them: the others' time would count twice. */
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

/** Round steps for a ruler: 1, 2 or 5 times a power of ten, in µs. */
export function rulerStep(spanUs: number, most: number): number {
  const least = spanUs / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(Math.max(least, 1e-3)));
  return [1, 2, 5, 10].map((each) => each * power).find((step) => step >= least) ?? 10 * power;
}
