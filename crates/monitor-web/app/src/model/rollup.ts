/** Counts the descendants of each process by state, so that a collapsed row can summarise them. */
import type { Lanes } from "./lanes.ts";
import { STATES } from "./state.ts";
import type { Forest, Tree } from "./tree.ts";

/** Returns all slots of a tree in pre-order. */
export function preorder(tree: Forest): Int32Array {
  const order = new Int32Array(tree.size);
  let count = 0;
  const stack: number[] = [];
  const push = (children: readonly number[]) => {
    for (let index = children.length - 1; index >= 0; index -= 1) stack.push(children[index] as number);
  };
  push(tree.childrenOf(undefined));
  while (stack.length > 0) {
    const slot = stack.pop() as number;
    order[count] = slot;
    count += 1;
    push(tree.childrenOf(slot));
  }
  return order.subarray(0, count);
}

const WIDTH = STATES.length + 1;
const FAILED = STATES.indexOf("failed");
const LOST = STATES.indexOf("lost");

/**
 * Counts the states of all descendants of each process, limited to its lane if there are lanes. A fold counts as all processes that it
 * represents.
 */
export class Rollup {
  private readonly counts: Uint32Array;
  private readonly size: number;

  constructor(tree: Tree, order: Int32Array, lanes?: Lanes) {
    this.size = tree.size;
    this.counts = new Uint32Array((tree.size + (lanes?.list.length ?? 0)) * WIDTH);
    const { counts } = this;
    const forest = lanes ?? tree;
    for (let at = order.length - 1; at >= 0; at -= 1) {
      const slot = order[at] as number;
      const above = forest.parentOf(slot) ?? (lanes && this.ofLane(lanes.indexOf(slot)));
      if (above === undefined) continue;
      const from = slot * WIDTH;
      const to = above * WIDTH;
      for (let column = 0; column < WIDTH; column += 1) (counts[to + column] as number) += counts[from + column] as number;
      this.addOwn(tree, slot, to);
    }
  }

  /** Returns the value that represents a lane where the methods below expect a slot. */
  ofLane(index: number): number {
    return this.size + index;
  }

  /** Returns the number of descendants in a state. */
  below(slot: number, state: (typeof STATES)[number]): number {
    return this.counts[slot * WIDTH + STATES.indexOf(state)] ?? 0;
  }

  /** Returns the number of descendants. */
  total(slot: number): number {
    let total = 0;
    for (let column = 0; column < WIDTH; column += 1) total += this.counts[slot * WIDTH + column] ?? 0;
    return total;
  }

  /** Returns true if no descendant needs attention. */
  isQuiet(slot: number): boolean {
    return !this.counts[slot * WIDTH + FAILED] && !this.counts[slot * WIDTH + LOST];
  }

  private addOwn(tree: Tree, slot: number, to: number): void {
    const fold = tree.foldOf(slot);
    if (!fold) {
      (this.counts[to + tree.stateIndex(slot)] as number) += 1;
      return;
    }
    const add = (column: (typeof STATES)[number], count: number) => {
      (this.counts[to + STATES.indexOf(column)] as number) += count;
    };
    add("running", fold.running);
    add("failed", fold.failed);
    add("cancelled", fold.cancelled);
    add("succeeded", Math.max(0, fold.count - fold.running - fold.failed - fold.cancelled));
  }
}
