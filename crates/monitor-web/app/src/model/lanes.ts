/**
 * Splits a tree into lanes by the place where processes run. In a lane, each process is below its parent if the parent is in the same lane.
 */
import type { Origin } from "./columns.ts";
import type { Tree } from "./tree.ts";

export interface LaneName {
  key: string;
  label: string;
}

export interface Lane extends LaneName {
  /** Processes without a parent in this lane, in tree order. */
  tops: number[];
}

export class Lanes {
  /** In the order of their first process in the tree. */
  readonly list: readonly Lane[];
  /** Lane of each slot. Processes that arrived later are in their parent's lane. */
  private readonly lanes: Int32Array;
  private readonly isTop: Uint8Array;
  /** 1 if some of its children are at the top of other lanes. */
  private readonly handsOver: Uint8Array;
  private filtered = { version: -1, children: new Map<number, readonly number[]>() };

  constructor(
    private readonly tree: Tree,
    order: Int32Array,
    laneOf: (origin: Origin) => LaneName,
  ) {
    const list: Lane[] = [];
    this.list = list;
    this.lanes = new Int32Array(tree.size);
    this.isTop = new Uint8Array(tree.size);
    this.handsOver = new Uint8Array(tree.size);
    const byKey = new Map<string, number>();
    const byOrigin = new Map<number, number>();
    for (const slot of order) {
      const origin = tree.originNumber(slot);
      let lane = byOrigin.get(origin);
      if (lane === undefined) {
        const name = laneOf(tree.originOf(slot));
        lane = byKey.get(name.key) ?? list.push({ ...name, tops: [] }) - 1;
        byKey.set(name.key, lane);
        byOrigin.set(origin, lane);
      }
      this.lanes[slot] = lane;
      const parent = tree.parentOf(slot);
      if (parent !== undefined && this.lanes[parent] === lane) continue;
      this.isTop[slot] = 1;
      (list[lane] as Lane).tops.push(slot);
      if (parent !== undefined) this.handsOver[parent] = 1;
    }
  }

  get size(): number {
    return this.tree.size;
  }

  /** Returns the index in `list` of a process's lane. */
  indexOf(slot: number): number {
    let at = slot;
    for (let above = this.parentOf(at); above !== undefined; above = this.parentOf(at)) at = above;
    return this.lanes[at] ?? 0;
  }

  parentOf(slot: number): number | undefined {
    return this.isTop[slot] ? undefined : this.tree.parentOf(slot);
  }

  /** Returns the children in the same lane; without a slot, the tops of all lanes. */
  childrenOf(slot: number | undefined): readonly number[] {
    if (slot === undefined) return this.list.flatMap(({ tops }) => tops);
    const children = this.tree.childrenOf(slot);
    if (!this.handsOver[slot]) return children;
    if (this.filtered.version !== this.tree.structureVersion) this.filtered = { version: this.tree.structureVersion, children: new Map() };
    let own = this.filtered.children.get(slot);
    if (!own) this.filtered.children.set(slot, (own = children.filter((child) => !this.isTop[child])));
    return own;
  }

  /** Returns the first child that runs in another lane, and the number of such children. */
  elsewhere(slot: number): { first: number; count: number } | undefined {
    if (!this.handsOver[slot]) return undefined;
    const children = this.tree.childrenOf(slot);
    const first = children.find((child) => this.isTop[child]);
    return first === undefined ? undefined : { first, count: children.length - this.childrenOf(slot).length };
  }
}
