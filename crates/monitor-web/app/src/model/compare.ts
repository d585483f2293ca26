/** Two trees side by side: processes are paired by their path, and what differs is named. Pure; durations are ns. */
import type { LogLine } from "../api/types.ts";
import { needsAttention } from "./state.ts";
import type { Tree } from "./tree.ts";

/** What became of a process between the two; the first that holds counts. */
export const CHANGES = ["failing", "new", "gone", "slower", "mended", "faster", "same"] as const;
export type ChangeKind = (typeof CHANGES)[number];

/** A process of the one, of the other, or of both. */
export interface Pair {
  /** Its slot in the earlier tree, -1 if it is only in the later. */
  left: number;
  right: number;
  depth: number;
  /** The place of the pair above it, -1 at the top. */
  parent: number;
  change: ChangeKind;
  /** By how much the later one took longer; what its children took longer is left out in `own`. Null where one is not known. */
  delta: number | null;
  own: number | null;
}

export interface Comparison {
  /** In pre-order, siblings as they began in the later tree. */
  pairs: Pair[];
  counts: Record<ChangeKind, number>;
  /** For each pair whether it, or one below it, differs. */
  differs: Uint8Array;
}

/** A difference below both of these is none: it is within what any run varies by. */
const RATIO = 1.25;
const LEAST_NS = 1e6;
/** The part of the whole that a difference must have. */
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
  // The roots are paired whatever they are called.
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

/** Siblings of a name are paired in the order in which they began; what only the earlier tree has stands where it stood there. */
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

/** How long it took; a fold, all that it stands for together. */
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
 * What differs, what matters most first: what newly fails, from the deepest on; what is new or gone, without what hangs below it;
 * what is slower by itself and not by its children.
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
    // Infinite weights don't subtract.
    const [v, w] = [weight(a), weight(b)];
    return CHANGES.indexOf(x.change) - CHANGES.indexOf(y.change) || (v === w ? a - b : v < w ? -1 : 1);
  });
}

/** A message without what differs from run to run anyway: numbers, ids, addresses. */
export function shapeOf(message: string): string {
  return message.replace(/\b(?:0x)?[0-9a-f]*\d[0-9a-f]*\b/gi, "#").replace(/#(?:[.:,/-]#)+/g, "#");
}

export interface LogDifference {
  left: LogLine | null;
  right: LogLine | null;
}

/** What was said, from the beginning on; or only the first part of it. */
export interface LogPart {
  lines: readonly LogLine[];
  isCut: boolean;
}

/** The earliest line of the later tree, by its time, at which a process says something else than its partner did; null if none does. That a part which was cut says nothing more is no difference. */
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
    // Since their root began: so that what the one lacks can stand beside what the other has.
    const timeUs = difference.right ? difference.right.time_us - rightOrigin : difference.left ? difference.left.time_us - leftOrigin : Infinity;
    if (timeUs >= firstUs) continue;
    firstUs = timeUs;
    first = difference;
  }
  return first;
}

/** When its root began. */
function originOf(tree: Tree): number {
  const top = tree.childrenOf(undefined)[0];
  const start = top === undefined ? NaN : tree.startOf(top);
  return Number.isNaN(start) ? 0 : start;
}

function alike(a: LogLine, b: LogLine): boolean {
  return a.level === b.level && shapeOf(a.message) === shapeOf(b.message);
}
