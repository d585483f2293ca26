/** Computes the visible rows of a tree from the expanded processes. */
import type { Found } from "./filter.ts";
import type { Lane, Lanes } from "./lanes.ts";
import type { Rollup } from "./rollup.ts";
import { needsAttention, type State } from "./state.ts";
import { ancestors, type Tree } from "./tree.ts";

/** Similar siblings that share a row, or a lane. */
export interface Group {
  key: string;
  members: readonly number[];
  lane?: Lane;
}

export interface Arrangement {
  /** Shows only matching processes and their ancestors, all expanded. */
  found?: Found | undefined;
  /** Groups similar siblings in one row, except those that need attention. */
  rollup?: Rollup | undefined;
  lanes?: Lanes | undefined;
}

/** Rows from top to bottom. */
export interface Rows {
  /** Slot of each row; the row of a group contains -1 minus the index in `groups`. */
  slots: Int32Array;
  /** Depth in the tree or lane. A lane is not a process, but adds a level. */
  depths: Int32Array;
  /** Indentation level; members of a group are one level below it. */
  levels: Int32Array;
  /** Position of each row among its siblings, starting at 1, and the number of siblings. */
  places: Int32Array;
  sizes: Int32Array;
  /** Row of each slot; -1 if it is not shown. */
  positions: Int32Array;
  /** Lanes first, in their order. */
  groups: readonly Group[];
  /** Row of each group, by its first member. */
  groupRows: ReadonlyMap<number, number>;
  /** Row of each lane, by its key. */
  laneRows: ReadonlyMap<string, number>;
}

/** Maximum number of rows that are expanded automatically when a tree is opened. */
const COMFORTABLE = 600;
/** States of ended processes that need no attention. */
const OVER: ReadonlySet<string> = new Set<State>(["succeeded", "cancelled"]);
/** Minimum number of siblings in a group. */
const SMALLEST_GROUP = 3;

/** Tracks the expanded processes: all above a depth, except those that were toggled. */
export class Folding {
  private readonly toggled = new Map<number, boolean>();
  private readonly groups = new Set<string>();
  private readonly lanes = new Map<string, boolean>();
  private depth = Infinity;
  private changes = 0;

  get version(): number {
    return this.changes;
  }

  /** Depth above which all processes are expanded. */
  get level(): number {
    return this.depth;
  }

  isOpen(slot: number, depth: number): boolean {
    return this.toggled.get(slot) ?? depth < this.depth;
  }

  set(slot: number, open: boolean): void {
    this.toggled.set(slot, open);
    this.changes += 1;
  }

  isGroupOpen(key: string): boolean {
    return this.groups.has(key);
  }

  setGroup(key: string, open: boolean): void {
    if (open) this.groups.add(key);
    else this.groups.delete(key);
    this.changes += 1;
  }

  isLaneOpen(key: string): boolean {
    return this.lanes.get(key) ?? this.depth > 0;
  }

  setLane(key: string, open: boolean): void {
    this.lanes.set(key, open);
    this.changes += 1;
  }

  /** Expands exactly the processes above `depth`. */
  toDepth(depth: number): void {
    this.toggled.clear();
    this.groups.clear();
    this.lanes.clear();
    this.depth = depth;
    this.changes += 1;
  }

  /** Expands all ancestors of a process; with `rollup`, also the groups that hide it. */
  reveal(tree: Tree, slot: number, { rollup, lanes }: Omit<Arrangement, "found"> = {}): void {
    const above = ancestors(lanes ?? tree, slot);
    const top = lanes ? 1 : 0;
    above.forEach((ancestor, index) => {
      if (!this.isOpen(ancestor, top + above.length - 1 - index)) this.set(ancestor, true);
    });
    const lane = lanes?.list[lanes.indexOf(slot)];
    if (lane && !this.isLaneOpen(lane.key)) this.setLane(lane.key, true);
    for (const each of rollup ? [slot, ...above] : []) {
      const key = groupKey(tree, each, lane);
      if (rollup && mayBeGrouped(tree, each, rollup) && !this.groups.has(key)) this.setGroup(key, true);
    }
  }
}

/** Returns the topmost processes that have ended with all their descendants, if they have any and none needs attention. */
export function finished(tree: Tree, rollup: Rollup): Set<number> {
  const over = new Set<number>();
  const stack = [...tree.childrenOf(undefined)];
  for (let slot = stack.pop(); slot !== undefined; slot = stack.pop()) {
    const total = rollup.total(slot);
    if (total === 0) continue;
    const isOver = OVER.has(tree.stateOf(slot)) && rollup.below(slot, "succeeded") + rollup.below(slot, "cancelled") === total;
    if (isOver) over.add(slot);
    else for (const child of tree.childrenOf(slot)) stack.push(child);
  }
  return over;
}

/** Returns the maximum depth for expanding a tree within `COMFORTABLE` rows if these processes are collapsed; at least 1. */
export function comfortableDepth(tree: Tree, closed: ReadonlySet<number> = new Set()): number {
  let level = [...tree.childrenOf(undefined)];
  let rows = level.length;
  for (let depth = 1; level.length > 0; depth += 1) {
    const next: number[] = [];
    for (const slot of level) if (!closed.has(slot)) for (const child of tree.childrenOf(slot)) next.push(child);
    rows += next.length;
    if (rows > COMFORTABLE && next.length > 0) return depth === 1 ? 1 : depth - 1;
    level = next;
  }
  return Infinity;
}

export function visibleRows(tree: Tree, folding: Folding, { found, rollup, lanes }: Arrangement = {}): Rows {
  const groups: Group[] = (lanes?.list ?? []).map((lane) => ({ key: lane.key, members: lane.tops, lane }));
  const forest = lanes ?? tree;
  // Upper bound: each group has at least three members and adds one row.
  const most = tree.size + Math.ceil(tree.size / SMALLEST_GROUP) + 1 + groups.length;
  const [slots, depths, levels, places, sizes] = [new Int32Array(most), new Int32Array(most), new Int32Array(most), new Int32Array(most), new Int32Array(most)];
  let count = 0;
  const positions = new Int32Array(tree.size).fill(-1);
  const groupRows = new Map<number, number>();
  const laneRows = new Map<string, number>();
  // Entries: slot, or group as in `slots`; depth; level; place; size.
  const stack: number[] = [];
  const push = (children: readonly number[], depth: number, level: number) => {
    for (let index = children.length - 1; index >= 0; index -= 1) stack.push(children[index] as number, depth, level, index + 1, children.length);
  };
  const pushChildren = (children: readonly number[], depth: number, level: number, lane?: Lane) => {
    if (found) push(children.filter((child) => found.marks[child]), depth, level);
    else if (rollup && children.length >= SMALLEST_GROUP) push(grouped(tree, children, rollup, groups, lane), depth, level);
    else push(children, depth, level);
  };
  if (lanes) {
    const shown = groups.map((_, index) => index).filter((index) => !found || groups[index]?.members.some((top) => found.marks[top]));
    push(shown.map((index) => -1 - index), 0, 0);
  } else {
    pushChildren(tree.childrenOf(undefined), 0, 0);
  }
  // All rows of a lane follow the lane's row.
  let lane: Lane | undefined;
  while (stack.length > 0) {
    sizes[count] = stack.pop() as number;
    places[count] = stack.pop() as number;
    const level = stack.pop() as number;
    const depth = stack.pop() as number;
    const slot = stack.pop() as number;
    const row = count;
    slots[row] = slot;
    depths[row] = depth;
    levels[row] = level;
    count += 1;
    if (slot >= 0) {
      positions[slot] = row;
      const children = forest.childrenOf(slot);
      if (children.length > 0 && (found || folding.isOpen(slot, depth))) pushChildren(children, depth + 1, level + 1, lane);
      continue;
    }
    const group = groups[-1 - slot] as Group;
    if (group.lane) {
      ({ lane } = group);
      laneRows.set(group.key, row);
      if (found || folding.isLaneOpen(group.key)) pushChildren(group.members, depth + 1, level + 1, lane);
    } else {
      groupRows.set(group.members[0] as number, row);
      if (folding.isGroupOpen(group.key)) push(group.members, depth, level + 1);
    }
  }
  // Copy short columns, so that they don't keep the large buffer alive.
  const trim = (column: Int32Array) => (count * 2 < most ? column.slice(0, count) : column.subarray(0, count));
  return { slots: trim(slots), depths: trim(depths), levels: trim(levels), places: trim(places), sizes: trim(sizes), positions, groups, groupRows, laneRows };
}

/** Returns the children; each group replaces its first member. */
function grouped(tree: Tree, children: readonly number[], rollup: Rollup, groups: Group[], lane: Lane | undefined): number[] {
  const alike = new Map<string, number[]>();
  for (const child of children) {
    if (!mayBeGrouped(tree, child, rollup)) continue;
    const key = groupKey(tree, child, lane);
    const members = alike.get(key);
    if (members) members.push(child);
    else alike.set(key, [child]);
  }
  const shown: number[] = [];
  for (const child of children) {
    const key = groupKey(tree, child, lane);
    const members = alike.get(key);
    const isMember = members && members.length >= SMALLEST_GROUP && mayBeGrouped(tree, child, rollup);
    if (!isMember) {
      shown.push(child);
    } else if (members[0] === child) {
      groups.push({ key, members });
      shown.push(-groups.length);
    }
  }
  return shown;
}

function mayBeGrouped(tree: Tree, slot: number, rollup: Rollup): boolean {
  return !needsAttention(tree.stateOf(slot)) && rollup.isQuiet(slot);
}

function groupKey(tree: Tree, slot: number, lane: Lane | undefined): string {
  const { kind, name } = tree.siteOf(slot);
  return `${lane?.key ?? ""} ${tree.parentOf(slot) ?? ""} ${kind} ${name}`;
}
