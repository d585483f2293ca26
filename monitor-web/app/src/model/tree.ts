/**
 * One tree, outside React: a slot for every process, and what the rows need in plain arrays.
 *
 * Processes come in any order, in pages and from the stream, and later versions of the same one
 * replace earlier ones. A parent may come after its children: until then they hang below the
 * root's own process.
 */
import type { Process } from "../api/types.ts";
import { needsAttention } from "./state.ts";

const NONE = -1;
/** The children of all that have none. */
const NOBODY: number[] = [];

export class Tree {
  private readonly slots = new Map<string, number>();
  private readonly processes: Process[] = [];
  /** Stream number that each process is true at. */
  private readonly asOf: number[] = [];
  private readonly parents: number[] = [];
  private readonly children: number[][] = [];
  private readonly tops: number[] = [];
  /** Slots whose parent is not there, by the parent's id. */
  private readonly waiting = new Map<string, Set<number>>();
  /** Slots that hang below the root's own process for want of a parent of their own. */
  private readonly adopted = new Set<number>();
  private own = NONE;
  private structure = 0;
  private content = 0;

  get size(): number {
    return this.processes.length;
  }

  /** Rises whenever rows may come, go or move. */
  get structureVersion(): number {
    return this.structure;
  }

  /** Rises whenever anything changes. */
  get version(): number {
    return this.content;
  }

  /** The slot of a process, if it is there. */
  find(id: string): number | undefined {
    return this.slots.get(id);
  }

  at(slot: number): Process {
    return this.processes[slot] as Process;
  }

  parentOf(slot: number): number | undefined {
    const parent = this.parents[slot] ?? NONE;
    return parent === NONE ? undefined : parent;
  }

  /** Whether it hangs elsewhere than it should: its parent is not there, or would close a cycle. */
  isOrphan(slot: number): boolean {
    const { parent_id } = this.at(slot);
    return parent_id !== null && this.slots.get(parent_id) !== this.parents[slot];
  }

  /** Below a process, or at the top without one: in the order in which they started. */
  childrenOf(slot: number | undefined): readonly number[] {
    return slot === undefined ? this.tops : (this.children[slot] ?? []);
  }

  /** Takes a process as it was at `asOf`; an older version than the known one changes nothing. */
  put(process: Process, asOf: number): void {
    const known = this.slots.get(process.id);
    if (known === undefined) {
      this.add(process, asOf);
    } else if (asOf > (this.asOf[known] ?? 0)) {
      this.replace(known, process, asOf);
    }
  }

  /** Whatever comes next is taken as newer: the stream has begun anew, perhaps with smaller numbers. */
  expire(): void {
    this.asOf.fill(-1);
  }

  private add(process: Process, asOf: number): void {
    const slot = this.processes.length;
    this.slots.set(process.id, slot);
    this.processes.push(process);
    this.asOf.push(asOf);
    this.parents.push(NONE);
    this.children.push(NOBODY);
    this.link(slot);
    this.adoptWaiting(slot);
    this.electOwn(slot);
    this.content += 1;
  }

  private replace(slot: number, process: Process, asOf: number): void {
    const before = this.at(slot);
    const moved = before.parent_id !== process.parent_id || before.started_us !== process.started_us;
    if (moved) this.unlink(slot);
    this.processes[slot] = process;
    this.asOf[slot] = asOf;
    if (moved) {
      this.link(slot);
      this.electOwn(slot);
    }
    this.content += 1;
  }

  private link(slot: number): void {
    const parentId = this.at(slot).parent_id;
    let parent = parentId === null ? NONE : (this.slots.get(parentId) ?? NONE);
    if (parentId !== null && parent === NONE) {
      const waiting = this.waiting.get(parentId) ?? new Set();
      this.waiting.set(parentId, waiting.add(slot));
    }
    // Only what has children can close a cycle; the check would make a deep chain quadratic.
    if (parent === slot || (parent !== NONE && this.siblings(slot).length > 0 && this.isBelow(parent, slot))) parent = NONE;
    if (parent === NONE && slot !== this.own) {
      this.adopted.add(slot);
      if (this.own !== NONE && !this.isBelow(this.own, slot)) parent = this.own;
    }
    this.attach(slot, parent);
  }

  private unlink(slot: number): void {
    const { parent_id } = this.at(slot);
    if (parent_id !== null) this.waiting.get(parent_id)?.delete(slot);
    this.adopted.delete(slot);
    this.detach(slot);
  }

  private attach(slot: number, parent: number): void {
    this.parents[slot] = parent;
    if (parent !== NONE && this.children[parent] === NOBODY) this.children[parent] = [];
    const siblings = this.siblings(parent);
    let at = siblings.length;
    // Most come in order, so the place is nearly always at the end.
    if (at > 0 && this.before(slot, siblings[at - 1] as number)) {
      let low = 0;
      while (low < at) {
        const middle = (low + at) >> 1;
        if (this.before(slot, siblings[middle] as number)) at = middle;
        else low = middle + 1;
      }
    }
    siblings.splice(at, 0, slot);
    this.structure += 1;
  }

  private detach(slot: number): void {
    const siblings = this.siblings(this.parents[slot] ?? NONE);
    siblings.splice(siblings.indexOf(slot), 1);
    this.structure += 1;
  }

  private siblings(parent: number): number[] {
    return parent === NONE ? this.tops : (this.children[parent] as number[]);
  }

  private adoptWaiting(slot: number): void {
    const { id } = this.at(slot);
    const waiting = this.waiting.get(id);
    if (!waiting) return;
    this.waiting.delete(id);
    for (const child of waiting) this.relink(child);
  }

  /** The root's own process is the one without a parent, smallest by start and id. */
  private electOwn(slot: number): void {
    const before = this.own;
    let own = before !== NONE && this.at(before).parent_id === null ? before : NONE;
    const candidates = slot === before ? [...this.adopted, slot] : [slot];
    for (const candidate of candidates) {
      if (this.at(candidate).parent_id !== null) continue;
      if (own === NONE || this.before(candidate, own)) own = candidate;
    }
    if (own === before) return;
    this.own = own;
    if (own !== NONE) this.relink(own);
    if (before !== NONE) this.relink(before);
    for (const adopted of [...this.adopted]) this.relink(adopted);
  }

  private relink(slot: number): void {
    this.unlink(slot);
    this.link(slot);
  }

  private isBelow(slot: number, ancestor: number): boolean {
    for (let at = slot; at !== NONE; at = this.parents[at] ?? NONE) if (at === ancestor) return true;
    return false;
  }

  /** As the server orders siblings: by start, those without one last, then by id. */
  private before(a: number, b: number): boolean {
    const left = this.at(a);
    const right = this.at(b);
    const difference = (left.started_us ?? Infinity) - (right.started_us ?? Infinity);
    return difference < 0 || (!(difference > 0) && left.id < right.id);
  }
}

/** The slots above one, nearest first. */
export function ancestors(tree: Tree, slot: number): number[] {
  const above: number[] = [];
  for (let at = tree.parentOf(slot); at !== undefined; at = tree.parentOf(at)) above.push(at);
  return above;
}

/** Failed and lost processes without another one below them, in tree order: where it began to go wrong. */
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
      const bad = needsAttention(tree.at(frame[0]).state);
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
    const process = tree.at(slot);
    return [process.state === "failed" ? 0 : 1, process.ended_us ?? process.started_us ?? Infinity] as const;
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
