/** Which processes of a tree stand in rows, given what is folded open. */
import { ancestors, type Tree } from "./tree.ts";

/** The rows from top to bottom: slot and depth of each. */
export interface Rows {
  slots: Int32Array;
  depths: Uint16Array;
  /** The row of each slot, -1 for those out of sight. */
  positions: Int32Array;
}

/** Rows that a tree may fill by itself when it is opened; what is deeper starts folded. */
const COMFORTABLE = 600;

/** Which processes are folded open: all above a depth, save for those that were toggled. */
export class Folding {
  private readonly toggled = new Map<number, boolean>();
  private depth = Infinity;
  private changes = 0;

  get version(): number {
    return this.changes;
  }

  isOpen(slot: number, depth: number): boolean {
    return this.toggled.get(slot) ?? depth < this.depth;
  }

  set(slot: number, open: boolean): void {
    this.toggled.set(slot, open);
    this.changes += 1;
  }

  /** Opens all processes above `depth` and no others. */
  toDepth(depth: number): void {
    this.toggled.clear();
    this.depth = depth;
    this.changes += 1;
  }

  /** Opens whatever hides a process. */
  reveal(tree: Tree, slot: number): void {
    const above = ancestors(tree, slot);
    above.forEach((ancestor, index) => {
      if (!this.isOpen(ancestor, above.length - 1 - index)) this.set(ancestor, true);
    });
  }
}

/** How deep a tree can be opened without filling the page with rows. At least one level is. */
export function comfortableDepth(tree: Tree): number {
  let level = [...tree.childrenOf(undefined)];
  let rows = level.length;
  for (let depth = 1; level.length > 0; depth += 1) {
    const next: number[] = [];
    for (const slot of level) for (const child of tree.childrenOf(slot)) next.push(child);
    rows += next.length;
    if (rows > COMFORTABLE && next.length > 0) return depth === 1 ? 1 : depth - 1;
    level = next;
  }
  return Infinity;
}

export function visibleRows(tree: Tree, folding: Folding): Rows {
  const slots = new Int32Array(tree.size);
  const depths = new Uint16Array(tree.size);
  const positions = new Int32Array(tree.size).fill(-1);
  let count = 0;
  const stack: number[] = [];
  const depthStack: number[] = [];
  const push = (children: readonly number[], depth: number) => {
    for (let index = children.length - 1; index >= 0; index -= 1) {
      stack.push(children[index] as number);
      depthStack.push(depth);
    }
  };
  push(tree.childrenOf(undefined), 0);
  while (stack.length > 0) {
    const slot = stack.pop() as number;
    const depth = depthStack.pop() as number;
    slots[count] = slot;
    depths[count] = depth;
    positions[slot] = count;
    count += 1;
    const children = tree.childrenOf(slot);
    if (children.length > 0 && folding.isOpen(slot, depth)) push(children, depth + 1);
  }
  return { slots: slots.subarray(0, count), depths: depths.subarray(0, count), positions };
}
