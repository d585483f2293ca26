/** Which processes of a tree stand in rows, given what is folded open. */
import type { Found } from "./filter.ts";
import type { Lane, Lanes } from "./lanes.ts";
import type { Rollup } from "./rollup.ts";
import { needsAttention, type State } from "./state.ts";
import { ancestors, type Tree } from "./tree.ts";

/** Like siblings that share a row, or a lane. */
export interface Group {
  key: string;
  members: readonly number[];
  lane?: Lane;
}

export interface Arrangement {
  /** Leaves only what was found, open. */
  found?: Found | undefined;
  /** Lets like siblings share a row, save for those that need a look. */
  rollup?: Rollup | undefined;
  lanes?: Lanes | undefined;
}

/** The rows from top to bottom. */
export interface Rows {
  /** The slot of each row; those of groups are -1 minus the group's place in `groups`. */
  slots: Int32Array;
  /** How deep each process hangs in the tree, or in its lane, which is no process but takes a level. */
  depths: Int32Array;
  /** How deep each row is shown: members of a group stand below it. */
  levels: Int32Array;
  /** The place of each row among those beside it, from 1, and how many those are. */
  places: Int32Array;
  sizes: Int32Array;
  /** The row of each slot, -1 for those out of sight. */
  positions: Int32Array;
  /** The lanes come first, in their order. */
  groups: readonly Group[];
  /** The row of each group, by its first member. */
  groupRows: ReadonlyMap<number, number>;
  /** The row of each lane, by its key. */
  laneRows: ReadonlyMap<string, number>;
}

/** Rows that a tree may fill by itself when it is opened; what is deeper starts folded. */
const COMFORTABLE = 600;
/** States of what is over and needs no look. */
const OVER: ReadonlySet<string> = new Set<State>(["succeeded", "cancelled"]);
/** Fewer siblings are no crowd. */
const SMALLEST_GROUP = 3;

/** Which processes are folded open: all above a depth, save for those that were toggled. */
export class Folding {
  private readonly toggled = new Map<number, boolean>();
  private readonly groups = new Set<string>();
  private readonly lanes = new Map<string, boolean>();
  private depth = Infinity;
  private changes = 0;

  get version(): number {
    return this.changes;
  }

  /** All above it are open. */
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

  /** Opens all processes above `depth` and no others. */
  toDepth(depth: number): void {
    this.toggled.clear();
    this.groups.clear();
    this.lanes.clear();
    this.depth = depth;
    this.changes += 1;
  }

  /** Opens whatever hides a process: with `rollup` also the groups that it or one above it is in. */
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

/** The highest processes that are over with all that hangs below them, if something does and none of it needs a look. */
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

/** How deep a tree can be opened without filling the page with rows, when these processes are closed. At least one level is. */
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
  // A group stands for three at least and adds a row.
  const most = tree.size + Math.ceil(tree.size / SMALLEST_GROUP) + 1 + groups.length;
  const [slots, depths, levels, places, sizes] = [new Int32Array(most), new Int32Array(most), new Int32Array(most), new Int32Array(most), new Int32Array(most)];
  let count = 0;
  const positions = new Int32Array(tree.size).fill(-1);
  const groupRows = new Map<number, number>();
  const laneRows = new Map<string, number>();
  // Slot, or group as in `slots`; depth; level; place; size.
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
  // All rows of a lane follow its own.
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
  // What few rows are shown of many holds no more memory than it needs.
  const trim = (column: Int32Array) => (count * 2 < most ? column.slice(0, count) : column.subarray(0, count));
  return { slots: trim(slots), depths: trim(depths), levels: trim(levels), places: trim(places), sizes: trim(sizes), positions, groups, groupRows, laneRows };
}

/** The children, with a group in the place of the first of those that it takes. */
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
