/** Where a tree began to go wrong. */
import { needsAttention } from "./state.ts";
import type { Tree } from "./tree.ts";

/** Failed and lost processes without another one below them, in tree order. */
export function failures(tree: Tree): number[] {
  const leaves: number[] = [];
  // Iterative and from the children up, so that no depth overflows the stack.
  const stack: [slot: number, next: number, found: boolean][] = [];
  const visit = (top: number) => {
    stack.push([top, 0, false]);
    while (stack.length > 0) {
      const frame = stack[stack.length - 1] as [number, number, boolean];
      const child = tree.childrenOf(frame[0])[frame[1]];
      if (child !== undefined) {
        frame[1] += 1;
        stack.push([child, 0, false]);
        continue;
      }
      stack.pop();
      const bad = needsAttention(tree.stateOf(frame[0]));
      if (bad && !frame[2]) leaves.push(frame[0]);
      const above = stack[stack.length - 1];
      if (above && (bad || frame[2])) above[2] = true;
    }
  };
  for (const top of tree.childrenOf(undefined)) visit(top);
  return leaves;
}

/** The failing leaf that ended first: the cause, more often than not. Failed ones come before lost ones. */
export function firstFailure(tree: Tree, leaves: readonly number[] = failures(tree)): number | undefined {
  const key = (slot: number) => {
    const times = [tree.endOf(slot), tree.startOf(slot), Infinity];
    return [tree.stateOf(slot) === "failed" ? 0 : 1, times.find((time) => !Number.isNaN(time)) as number] as const;
  };
  let first: number | undefined;
  for (const leaf of leaves) {
    if (first === undefined) {
      first = leaf;
      continue;
    }
    const [rank, time] = key(leaf);
    const [bestRank, bestTime] = key(first);
    if (rank < bestRank || (rank === bestRank && time < bestTime)) first = leaf;
  }
  return first;
}
