/** Process ids as two 32-bit words, and a hash table for them, because a million strings would need more memory than the rest of a tree. */

const HEX = /^[0-9a-f]{16}$/;

/** Returns the upper and the lower half; undefined if the id is not in the server's format. */
export function words(id: string): [high: number, low: number] | undefined {
  return HEX.test(id) ? [Number.parseInt(id.slice(0, 8), 16), Number.parseInt(id.slice(8), 16)] : undefined;
}

export function hex(high: number, low: number): string {
  return high.toString(16).padStart(8, "0") + low.toString(16).padStart(8, "0");
}

/** Finds the slot of an id; open addressing, at most half full. */
export class IdTable {
  private table = new Int32Array(64).fill(-1);
  private count = 0;
  private high: Uint32Array = new Uint32Array(0);
  private low: Uint32Array = new Uint32Array(0);

  /** Sets the columns with the ids of all slots; they may have been reallocated. */
  use(high: Uint32Array, low: Uint32Array): void {
    this.high = high;
    this.low = low;
  }

  find(high: number, low: number): number {
    const mask = this.table.length - 1;
    for (let at = hash(high, low) & mask; ; at = (at + 1) & mask) {
      const slot = this.table[at] as number;
      if (slot < 0 || (this.low[slot] === low && this.high[slot] === high)) return slot;
    }
  }

  /** Adds a slot whose id is in the columns. */
  add(slot: number): void {
    if (this.count * 2 >= this.table.length) this.grow(this.table.length * 2);
    this.count += 1;
    this.insert(slot);
  }

  /** Reserves space for `count` ids. */
  reserve(count: number): void {
    let size = this.table.length;
    while (size < count * 2) size *= 2;
    if (size > this.table.length) this.grow(size);
  }

  private insert(slot: number): void {
    const mask = this.table.length - 1;
    let at = hash(this.high[slot] as number, this.low[slot] as number) & mask;
    while ((this.table[at] as number) >= 0) at = (at + 1) & mask;
    this.table[at] = slot;
  }

  private grow(size: number): void {
    const before = this.table;
    this.table = new Int32Array(size).fill(-1);
    for (const slot of before) if (slot >= 0) this.insert(slot);
  }
}

/** Ids are usually random, but ids of folds and of other systems may not be. */
function hash(high: number, low: number): number {
  const mixed = Math.imul(high ^ (low >>> 15), 0x85ebca6b) ^ Math.imul(low, 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}
