/** Finds the failures of a tree, and the one that caused the tree to fail. */
import type { Failure } from "../api/types.ts";
import { statesReason } from "./errors.ts";
import { preorder } from "./rollup.ts";
import { needsAttention } from "./state.ts";
import type { Tree } from "./tree.ts";

export interface Failures {
  /**
   * First the end of the failing path, then failed and lost processes without a failure below them that explains them: those whose parent
   * did not succeed, then handled failures; each in tree order.
   */
  leaves: number[];
  /** The end of the failing path; undefined unless the root failed or is lost. */
  cause: number | undefined;
  /** Number of leaves with an ancestor that succeeded, so that the failure was handled. */
  handled: number;
}

/** Finds failures in `order`, the order of the rows. */
export function failures(tree: Tree, order?: Int32Array): Failures {
  const bad = new Uint8Array(tree.size);
  /** 1 for processes with an unhandled failure below them. */
  const explained = new Uint8Array(tree.size);
  /** 1 for processes with an ancestor that succeeded. */
  const inSuccess = new Uint8Array(tree.size);
  const parentsFirst = preorder(tree);
  for (const slot of parentsFirst) {
    bad[slot] = needsAttention(tree.stateOf(slot)) ? 1 : 0;
    const parent = tree.parentOf(slot);
    if (parent !== undefined && (inSuccess[parent] || tree.stateOf(parent) === "succeeded")) inSuccess[slot] = 1;
  }
  for (let at = parentsFirst.length - 1; at >= 0; at -= 1) {
    const slot = parentsFirst[at] as number;
    const parent = tree.parentOf(slot);
    const tells = bad[slot] || (explained[slot] && tree.stateOf(slot) !== "succeeded");
    if (parent !== undefined && tells) explained[parent] = 1;
  }
  const cause = endOfFailingPath(tree, bad);
  const leaves: number[] = [];
  const handled: number[] = [];
  for (const slot of order ?? parentsFirst) {
    if (slot < 0 || !bad[slot] || explained[slot] || slot === cause) continue;
    (inSuccess[slot] ? handled : leaves).push(slot);
  }
  return { leaves: [...(cause === undefined ? [] : [cause]), ...leaves, ...handled], cause, handled: handled.length };
}

/** Returns true if a process failed or was lost below one that succeeded, which has therefore handled it. */
export function isHandled(tree: Tree, slot: number): boolean {
  if (!needsAttention(tree.stateOf(slot))) return false;
  for (let above = tree.parentOf(slot); above !== undefined; above = tree.parentOf(above)) if (tree.stateOf(above) === "succeeded") return true;
  return false;
}

/**
 * Returns the last process on the path from the root through failed children of failed parents. Of several failed children, it selects the
 * one whose error the parent's error contains, otherwise one with the same state as the parent (a lost parent has lost children), otherwise
 * the last to end. The path ends at the deepest process whose error states more than an exit code, if there is one.
 */
function endOfFailingPath(tree: Tree, bad: Uint8Array): number | undefined {
  let end: number | undefined;
  let reason: number | undefined;
  for (let next = decisive(tree, bad, undefined); next !== undefined; next = decisive(tree, bad, next)) {
    end = next;
    const error = tree.errorOf(next);
    if (tree.stateOf(next) === "lost" || (error && statesReason(error))) reason = next;
  }
  return reason ?? end;
}

function decisive(tree: Tree, bad: Uint8Array, parent: number | undefined): number | undefined {
  let found: number | undefined;
  let rank: readonly number[] = [];
  const carrier = parent === undefined ? null : tree.errorOf(parent);
  const state = parent === undefined ? "failed" : tree.stateOf(parent);
  for (const slot of tree.childrenOf(parent)) {
    if (!bad[slot]) continue;
    const times = [tree.endOf(slot), tree.startOf(slot), -Infinity];
    const key = [carries(carrier, tree.errorOf(slot)) ? 1 : 0, tree.stateOf(slot) === state ? 1 : 0, times.find((time) => !Number.isNaN(time)) as number];
    if (found === undefined || isAfter(key, rank)) [found, rank] = [slot, key];
  }
  return found;
}

/** Returns true if the parent's error contains the child's error, as a cause or in its message. */
function carries(parent: Failure | null, child: Failure | null): boolean {
  if (!parent || !child || child.message === "") return false;
  return [parent.message, ...(parent.chain ?? [])].some((link) => link.includes(child.message));
}

function isAfter(a: readonly number[], b: readonly number[]): boolean {
  for (const [index, value] of a.entries()) if (value !== b[index]) return value > (b[index] as number);
  return false;
}
