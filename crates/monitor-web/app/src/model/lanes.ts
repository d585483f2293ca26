/** A tree cut into lanes by where its processes run: in each lane, every process hangs below its parent if that runs there too. */
import type { Origin } from "./columns.ts";
import type { Tree } from "./tree.ts";

export interface LaneName {
  key: string;
  label: string;
}

export interface Lane extends LaneName {
  /** Those that hang below nobody of this lane, in tree order. */
  tops: number[];
}

export class Lanes {
  /** In the order in which the tree comes to them. */
  readonly list: readonly Lane[];
  /** The lane of each slot. What came since they were made is in its parent's. */
  private readonly lanes: Int32Array;
  private readonly isTop: Uint8Array;
  /** Whether some of its children are tops of other lanes. */
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

  /** The place in `list` of the lane that a process runs in. */
  indexOf(slot: number): number {
    let at = slot;
    for (let above = this.parentOf(at); above !== undefined; above = this.parentOf(at)) at = above;
    return this.lanes[at] ?? 0;
  }

  parentOf(slot: number): number | undefined {
    return this.isTop[slot] ? undefined : this.tree.parentOf(slot);
  }

  /** Those that run in the lane of their parent; without one, the tops of all lanes. */
  childrenOf(slot: number | undefined): readonly number[] {
    if (slot === undefined) return this.list.flatMap(({ tops }) => tops);
    const children = this.tree.childrenOf(slot);
    if (!this.handsOver[slot]) return children;
    if (this.filtered.version !== this.tree.structureVersion) this.filtered = { version: this.tree.structureVersion, children: new Map() };
    let own = this.filtered.children.get(slot);
    if (!own) this.filtered.children.set(slot, (own = children.filter((child) => !this.isTop[child])));
    return own;
  }

  /** The first of the children that run in other lanes, and how many those are. */
  elsewhere(slot: number): { first: number; count: number } | undefined {
    if (!this.handsOver[slot]) return undefined;
    const children = this.tree.childrenOf(slot);
    const first = children.find((child) => this.isTop[child]);
    return first === undefined ? undefined : { first, count: children.length - this.childrenOf(slot).length };
  }
}
