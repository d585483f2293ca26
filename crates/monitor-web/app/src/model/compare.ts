/** Compares two trees: pairs processes by their path and classifies the differences. Pure; durations are ns. */
import type { LogLine } from "../api/types.ts";
import { needsAttention } from "./state.ts";
import type { Tree } from "./tree.ts";

/** Classes of changes; the first that applies is used. */
export const CHANGES = ["failing", "new", "gone", "slower", "mended", "faster", "same"] as const;
export type ChangeKind = (typeof CHANGES)[number];

/** A process in one of the trees, or in both. */
export interface Pair {
  /** Its slot in the earlier tree; -1 if it is only in the later one. */
  left: number;
  right: number;
  depth: number;
  /** Index of the parent's pair; -1 at the top. */
  parent: number;
  change: ChangeKind;
  /** Difference of the durations, and in `own` without the difference of the children. Null if a duration is unknown. */
  delta: number | null;
  own: number | null;
}

export interface Comparison {
  /** In pre-order; siblings in the order of their start in the later tree. */
  pairs: Pair[];
  counts: Record<ChangeKind, number>;
  /** For each pair, 1 if it or a descendant differs. */
  differs: Uint8Array;
}

/** Differences below both limits are ignored, because all runs vary by that much. */
const RATIO = 1.25;
const LEAST_NS = 1e6;
/** Minimum difference as a fraction of the whole duration. */
const PART = 0.005;

export function compare(left: Tree, right: Tree, nowUs: number): Comparison {
  const pairs: Pair[] = [];
  const stack: [left: number, right: number, depth: number, parent: number][] = [];
  const push = (lefts: readonly number[], rights: readonly number[], depth: number, parent: number) => {
    const merged = align(left, right, lefts, rights);
    for (let at = merged.length - 1; at >= 0; at -= 1) stack.push([...(merged[at] as [number, number]), depth, parent]);
  };
  const topsOf = (tree: Tree) => tree.childrenOf(undefined);
  const [leftTop, rightTop] = [topsOf(left)[0], topsOf(right)[0]];
  // The roots are paired regardless of their names.
  if (leftTop !== undefined && rightTop !== undefined) stack.push([leftTop, rightTop, 0, -1]);
  else push(topsOf(left), topsOf(right), 0, -1);
  const whole = Math.max(leftTop === undefined ? 0 : (took(left, leftTop, nowUs) ?? 0), rightTop === undefined ? 0 : (took(right, rightTop, nowUs) ?? 0));
  const least = Math.max(LEAST_NS, whole * PART);
  while (stack.length > 0) {
    const [l, r, depth, parent] = stack.pop() as (typeof stack)[number];
    const [before, after] = [l < 0 ? null : took(left, l, nowUs), r < 0 ? null : took(right, r, nowUs)];
    const delta = before === null || after === null ? null : after - before;
    const at = pairs.length;
    pairs.push({ left: l, right: r, depth, parent, change: changeOf(left, right, l, r, before, after, least), delta, own: delta });
    push(l < 0 ? [] : left.childrenOf(l), r < 0 ? [] : right.childrenOf(r), depth + 1, at);
  }
  const counts = Object.fromEntries(CHANGES.map((kind) => [kind, 0])) as Record<ChangeKind, number>;
  const differs = new Uint8Array(pairs.length);
  for (let at = pairs.length - 1; at >= 0; at -= 1) {
    const pair = pairs[at] as Pair;
    counts[pair.change] += 1;
    if (pair.change !== "same" && pair.change !== "faster") differs[at] = 1;
    const above = pairs[pair.parent];
    if (!above) continue;
    if (differs[at]) differs[pair.parent] = 1;
    if (above.own !== null && pair.delta !== null && Math.sign(pair.delta) === Math.sign(above.delta ?? 0)) above.own -= pair.delta;
  }
  return { pairs, counts, differs };
}

/** Pairs siblings of the same name in the order of their start. Siblings that are only in the earlier tree keep their position there. */
function align(left: Tree, right: Tree, lefts: readonly number[], rights: readonly number[]): [number, number][] {
  const places = new Map<string, number[]>();
  lefts.forEach((slot, at) => {
    const key = keyOf(left, slot);
    const known = places.get(key);
    if (known) known.push(at);
    else places.set(key, [at]);
  });
  const used = new Uint8Array(lefts.length);
  const taken = new Map<string, number>();
  const partners = rights.map((slot) => {
    const key = keyOf(right, slot);
    const nth = taken.get(key) ?? 0;
    taken.set(key, nth + 1);
    const at = places.get(key)?.[nth] ?? -1;
    if (at >= 0) used[at] = 1;
    return at;
  });
  const merged: [number, number][] = [];
  let next = 0;
  const gone = (until: number) => {
    for (; next < until; next += 1) if (!used[next]) merged.push([lefts[next] as number, -1]);
  };
  rights.forEach((slot, index) => {
    const at = partners[index] as number;
    if (at >= 0) gone(at);
    merged.push([at < 0 ? -1 : (lefts[at] as number), slot]);
  });
  gone(lefts.length);
  return merged;
}

function keyOf(tree: Tree, slot: number): string {
  const { kind, name } = tree.siteOf(slot);
  return `${kind} ${name}`;
}

/** Returns the duration; for a fold, the total duration of the folded processes. */
function took(tree: Tree, slot: number, nowUs: number): number | null {
  const [measured, start, end] = [tree.elapsedOf(slot), tree.startOf(slot), tree.endOf(slot)];
  const fold = tree.foldOf(slot);
  if (fold) return fold.total_ns;
  if (!Number.isNaN(measured)) return measured;
  const until = Number.isNaN(end) && tree.stateOf(slot) === "running" ? nowUs : end;
  return Number.isNaN(start) || Number.isNaN(until) ? null : Math.max(0, until - start) * 1000;
}

function isBad(tree: Tree, slot: number): boolean {
  return needsAttention(tree.stateOf(slot)) || (tree.foldOf(slot)?.failed ?? 0) > 0;
}

function changeOf(left: Tree, right: Tree, l: number, r: number, before: number | null, after: number | null, least: number): ChangeKind {
  if (r < 0) return "gone";
  const bad = isBad(right, r);
  if (bad && (l < 0 || !isBad(left, l))) return "failing";
  if (l < 0) return "new";
  if (!bad && isBad(left, l)) return "mended";
  if (before === null || after === null || Math.abs(after - before) < least) return "same";
  if (after > before * RATIO) return "slower";
  return before > after * RATIO ? "faster" : "same";
}

/**
 * Returns the differences in the order of importance: new failures, deepest first; new and removed processes, without their descendants;
 * processes that are slower themselves and not because of their children.
 */
export function ranked({ pairs }: Comparison, left: Tree, right: Tree): number[] {
  const failsBelow = new Uint8Array(pairs.length);
  for (let at = pairs.length - 1; at >= 0; at -= 1) {
    const { change, parent } = pairs[at] as Pair;
    if (parent >= 0 && (change === "failing" || failsBelow[at])) failsBelow[parent] = 1;
  }
  const isTop = (at: number) => pairs[(pairs[at] as Pair).parent]?.change !== (pairs[at] as Pair).change;
  const shown = pairs.flatMap(({ change }, at) => {
    if (change === "same") return [];
    return (change === "new" || change === "gone") && !isTop(at) ? [] : [at];
  });
  const weight = (at: number): number => {
    const { change, own, left: l, right: r } = pairs[at] as Pair;
    if (change === "failing") return failsBelow[at] ? Infinity : (right.at(r).ended_us ?? Number.MAX_VALUE);
    if (change === "new") return -(took(right, r, 0) ?? 0);
    if (change === "gone") return -(took(left, l, 0) ?? 0);
    return change === "faster" ? (own ?? 0) : -(own ?? 0);
  };
  return shown.sort((a, b) => {
    const [x, y] = [pairs[a] as Pair, pairs[b] as Pair];
    // Infinite weights can't be subtracted.
    const [v, w] = [weight(a), weight(b)];
    return CHANGES.indexOf(x.change) - CHANGES.indexOf(y.change) || (v === w ? a - b : v < w ? -1 : 1);
  });
}

/** Replaces the parts of a message that vary between runs: numbers, ids, addresses. */
export function shapeOf(message: string): string {
  return message.replace(/\b(?:0x)?[0-9a-f]*\d[0-9a-f]*\b/gi, "#").replace(/#(?:[.:,/-]#)+/g, "#");
}

export interface LogDifference {
  left: LogLine | null;
  right: LogLine | null;
}

/** Log lines from the beginning; all of them, or only the first part. */
export interface LogPart {
  lines: readonly LogLine[];
  isCut: boolean;
}

/**
 * Returns the earliest line of the later tree at which a process's log differs from its partner's; null if there is none. A missing line
 * after the end of an incomplete part is not a difference.
 */
export function firstDifference(pairs: readonly Pair[], left: Tree, right: Tree, lefts: LogPart, rights: LogPart): LogDifference | null {
  const byProcess = (lines: readonly LogLine[]) => {
    const found = new Map<string, LogLine[]>();
    for (const line of lines) {
      const known = found.get(line.process_id);
      if (known) known.push(line);
      else found.set(line.process_id, [line]);
    }
    return found;
  };
  const [before, after] = [byProcess(lefts.lines), byProcess(rights.lines)];
  const [leftOrigin, rightOrigin] = [originOf(left), originOf(right)];
  let first: LogDifference | null = null;
  let firstUs = Infinity;
  for (const { left: l, right: r } of pairs) {
    const said = (l < 0 ? undefined : before.get(left.idOf(l))) ?? [];
    const says = (r < 0 ? undefined : after.get(right.idOf(r))) ?? [];
    let at = 0;
    while (at < said.length && at < says.length && alike(said[at] as LogLine, says[at] as LogLine)) at += 1;
    const difference = { left: said[at] ?? null, right: says[at] ?? null };
    if ((!difference.left && lefts.isCut) || (!difference.right && rights.isCut)) continue;
    // Relative to the start of the root, so that lines of both trees can be compared by time.
    const timeUs = difference.right ? difference.right.time_us - rightOrigin : difference.left ? difference.left.time_us - leftOrigin : Infinity;
    if (timeUs >= firstUs) continue;
    firstUs = timeUs;
    first = difference;
  }
  return first;
}

/** Returns the start time of the tree's root. */
function originOf(tree: Tree): number {
  const top = tree.childrenOf(undefined)[0];
  const start = top === undefined ? NaN : tree.startOf(top);
  return Number.isNaN(start) ? 0 : start;
}

function alike(a: LogLine, b: LogLine): boolean {
  return a.level === b.level && shapeOf(a.message) === shapeOf(b.message);
}
