/**
 * One tree, outside React: a slot for every process, with the common fields in columns. Rare fields are stored separately.
 *
 * Processes arrive in any order, in pages, in columns and from the stream, and later versions replace earlier ones. A parent may arrive
 * after its children; until then they are below the root's own process.
 */
import type { Failure, Process } from "../api/types.ts";
import { type Columns, DEEP, NOTHING, type Origin, ORPHAN, type Rare, type Site } from "./columns.ts";
import { hex, IdTable, words } from "./ids.ts";
import { isState, STATES } from "./state.ts";

const NONE = -1;
/** Shared list for all processes without children. */
const NOBODY: number[] = [];
/** State index of an unknown state; its name is stored with the rare fields. */
const OTHER = 255;
/** The states in the numbering of the columns. */
const COLUMN_STATES = (["succeeded", "running", "pending", "failed", "cancelled", "lost"] as const).map((state) => STATES.indexOf(state));
/** Maximum number of process objects that are cached. */
const MOST_MADE = 4096;

/** An empty string, which is never an id. */
const UNTOLD = "";

/** Fields that usually have their default value. */
type Extra = Partial<Omit<Process, "id" | "parent_id" | "name" | "kind" | "source" | "worker_id" | "thread" | "error" | "started_us" | "ended_us" | "elapsed_ns" | "root_id" | "orphan">>;

const DEFAULTS = { native_id: null, attempt: 1, reason: null, exit_code: null, signal: null, attachment: "explicit", progress: null, fold: null } as const;

export class Tree {
  private count = 0;
  private high = new Uint32Array(0);
  private low = new Uint32Array(0);
  private started = new Float64Array(0);
  private ended = new Float64Array(0);
  private elapsed = new Float64Array(0);
  /** Stream number at which each process was current. */
  private asOf = new Float64Array(0);
  private parents = new Int32Array(0);
  private site = new Int32Array(0);
  private origin = new Int32Array(0);
  private error = new Int32Array(0);
  private state = new Uint8Array(0);
  /** 1 if it was reported to have no parent. */
  private topmost = new Uint8Array(0);

  private readonly ids = new IdTable();
  /** Slots of ids that are not in the server's format. */
  private readonly odd = new Map<string, number>();
  private readonly oddIds = new Map<number, string>();
  private readonly sites: Site[] = [];
  private readonly siteKeys = new Map<string, number>();
  private readonly origins: Origin[] = [];
  private readonly originKeys = new Map<string, number>();
  private readonly failures: Failure[] = [];
  private readonly extras = new Map<number, Extra>();
  /** Slots of processes that have links. */
  private readonly linking = new Set<number>();
  /** Reported parents of processes that are placed elsewhere. */
  private readonly told = new Map<number, string>();
  private rootId = "";
  private readonly made = new Map<number, Process>();

  private readonly children: number[][] = [];
  private readonly tops: number[] = [];
  /** Slots whose parent is unknown, by the parent's id. */
  private readonly waiting = new Map<string, Set<number>>();
  /** Slots below the root's own process because their parent is missing. */
  private readonly adopted = new Set<number>();
  private own = NONE;
  private structure = 0;
  private content = 0;

  get size(): number {
    return this.count;
  }

  /** Increases whenever rows may be added, removed or moved. */
  get structureVersion(): number {
    return this.structure;
  }

  /** Increases with any change. */
  get version(): number {
    return this.content;
  }

  /** Returns the slot of a process; undefined if it is unknown. */
  find(id: string): number | undefined {
    const of = words(id);
    const slot = of ? this.ids.find(of[0], of[1]) : (this.odd.get(id) ?? NONE);
    return slot < 0 ? undefined : slot;
  }

  /** Returns all data of a process as an object. It is created on demand; loops over many processes read single columns instead. */
  at(slot: number): Process {
    const known = this.made.get(slot);
    if (known) return known;
    if (this.made.size >= MOST_MADE) this.made.clear();
    const { name, kind, source } = this.siteOf(slot);
    const process: Process = {
      ...DEFAULTS,
      links: [],
      fields: {},
      ...this.extras.get(slot),
      id: this.idOf(slot),
      root_id: this.rootId,
      parent_id: this.parentIdOf(slot),
      name,
      kind,
      source,
      ...this.originOf(slot),
      state: this.stateOf(slot),
      started_us: numberOf(this.started[slot]),
      ended_us: numberOf(this.ended[slot]),
      elapsed_ns: numberOf(this.elapsed[slot]),
      error: this.errorOf(slot),
      orphan: this.isOrphan(slot),
    };
    this.made.set(slot, process);
    return process;
  }

  /** Returns the processes of this tree that link to the process `id`, with the relation. */
  linkedFrom(id: string): { slot: number; relation: string }[] {
    const found: { slot: number; relation: string }[] = [];
    for (const slot of this.linking)
      for (const link of this.extras.get(slot)?.links ?? []) if (link.id === id && link.root_id === this.rootId) found.push({ slot, relation: link.relation });
    return found;
  }

  idOf(slot: number): string {
    return this.oddIds.get(slot) ?? hex(this.high[slot] ?? 0, this.low[slot] ?? 0);
  }

  siteOf(slot: number): Site {
    return this.sites[this.site[slot] ?? NONE] ?? NO_SITE;
  }

  /** Returns a number that is equal for all processes of the same site (name and kind). */
  siteNumber(slot: number): number {
    return this.site[slot] ?? NONE;
  }

  originOf(slot: number): Origin {
    return this.origins[this.origin[slot] ?? NONE] ?? NO_ORIGIN;
  }

  /** Returns a number that is equal for all processes of the same worker and thread. */
  originNumber(slot: number): number {
    return this.origin[slot] ?? NONE;
  }

  errorOf(slot: number): Failure | null {
    return this.failures[this.error[slot] ?? NONE] ?? null;
  }

  stateOf(slot: number): string {
    return STATES[this.state[slot] ?? OTHER] ?? this.extras.get(slot)?.state ?? "";
  }

  /** Returns the index into `STATES`; greater for unknown states. */
  stateIndex(slot: number): number {
    return Math.min(STATES.length, this.state[slot] ?? OTHER);
  }

  foldOf(slot: number): Process["fold"] {
    return this.extras.get(slot)?.fold ?? null;
  }

  /** Returns the start time; this and the next two values are NaN if unknown. */
  startOf(slot: number): number {
    return this.started[slot] ?? NaN;
  }

  endOf(slot: number): number {
    return this.ended[slot] ?? NaN;
  }

  elapsedOf(slot: number): number {
    return this.elapsed[slot] ?? NaN;
  }

  parentOf(slot: number): number | undefined {
    const parent = this.parents[slot] ?? NONE;
    return parent === NONE ? undefined : parent;
  }

  /** Returns true if its parent is missing or would close a cycle, so that it is placed elsewhere. */
  isOrphan(slot: number): boolean {
    return this.told.has(slot);
  }

  /** Returns the children of a process, or the top processes without a slot, in the order of their start. */
  childrenOf(slot: number | undefined): readonly number[] {
    return slot === undefined ? this.tops : (this.children[slot] ?? NOBODY);
  }

  /** Stores a process as it was at `asOf`; a version older than the known one is ignored. */
  put(process: Process, asOf: number): void {
    const known = this.find(process.id);
    if (known === undefined) this.add(process, asOf);
    else if (asOf > (this.asOf[known] ?? 0)) this.replace(known, process, asOf);
  }

  /** Accepts all following versions as newer, because the stream has restarted, perhaps with smaller numbers. */
  expire(): void {
    this.asOf.fill(-1);
  }

  private add(process: Process, asOf: number): void {
    const of = words(process.id);
    const slot = this.take(of?.[0] ?? 0, of?.[1] ?? 0);
    if (of) {
      this.ids.add(slot);
    } else {
      this.odd.set(process.id, slot);
      this.oddIds.set(slot, process.id);
    }
    this.rootId ||= process.root_id;
    this.write(slot, process, asOf);
    this.link(slot, process.parent_id);
    this.adoptWaiting(slot);
    this.electOwn(slot);
    this.content += 1;
  }

  private replace(slot: number, process: Process, asOf: number): void {
    const moved = this.parentIdOf(slot) !== process.parent_id || numberOf(this.started[slot]) !== process.started_us;
    if (moved) this.unlink(slot);
    this.write(slot, process, asOf);
    if (moved) {
      this.link(slot, process.parent_id);
      this.electOwn(slot);
    }
    this.content += 1;
  }

  /** Allocates a slot for an id. */
  private take(high: number, low: number): number {
    const slot = this.count;
    if (slot === this.high.length) this.reserve(Math.max(1024, slot * 2));
    this.high[slot] = high;
    this.low[slot] = low;
    this.parents[slot] = NONE;
    this.error[slot] = NONE;
    this.children.push(NOBODY);
    this.count += 1;
    return slot;
  }

  /** Reserves space for `count` processes. */
  reserve(count: number): void {
    if (count <= this.high.length) return;
    const grow = <Column extends Uint8Array | Int32Array | Uint32Array | Float64Array>(column: Column): Column => {
      const larger = new (column.constructor as new (length: number) => Column)(count);
      larger.set(column as never);
      return larger;
    };
    this.high = grow(this.high);
    this.low = grow(this.low);
    this.started = grow(this.started);
    this.ended = grow(this.ended);
    this.elapsed = grow(this.elapsed);
    this.asOf = grow(this.asOf);
    this.parents = grow(this.parents);
    this.site = grow(this.site);
    this.origin = grow(this.origin);
    this.error = grow(this.error);
    this.state = grow(this.state);
    this.topmost = grow(this.topmost);
    this.ids.use(this.high, this.low);
    this.ids.reserve(count);
  }

  /** Stores all data of a process except its place. */
  private write(slot: number, process: Process, asOf: number): void {
    const { name, kind, source, worker_id, thread, error, state } = process;
    this.made.delete(slot);
    this.asOf[slot] = asOf;
    this.started[slot] = process.started_us ?? NaN;
    this.ended[slot] = process.ended_us ?? NaN;
    this.elapsed[slot] = process.elapsed_ns ?? NaN;
    this.site[slot] = intern(this.siteKeys, this.sites, `${kind}\n${source?.line ?? ""}\n${source?.file ?? ""}\n${name}`, () => ({ name, kind, source }));
    this.origin[slot] = intern(this.originKeys, this.origins, `${worker_id}\n${thread ?? "\n"}`, () => ({ worker_id, thread }));
    this.state[slot] = isState(state) ? STATES.indexOf(state) : OTHER;
    // A failed process is sent again with every change, so its error is stored once.
    if (!error) this.error[slot] = NONE;
    else if (!alike(this.errorOf(slot), error)) this.error[slot] = this.failures.push(error) - 1;
    this.writeExtra(slot, process);
  }

  private writeExtra(slot: number, process: Partial<Process>): void {
    const extra: Record<string, unknown> = {};
    for (const [key, usual] of Object.entries(DEFAULTS)) {
      const value = process[key as keyof typeof DEFAULTS];
      if (value !== undefined && value !== usual) extra[key] = value;
    }
    if (process.links && process.links.length > 0) {
      extra["links"] = process.links;
      this.linking.add(slot);
    }
    if (process.fields && Object.keys(process.fields).length > 0) extra["fields"] = process.fields;
    for (const key of ["expected_ns", "expected_p95_ns", "overdue", "contradictions", "attempts", "attempts_of", "next_attempt_us"] as const) if (process[key] !== undefined) extra[key] = process[key];
    if (this.state[slot] === OTHER && process.state !== undefined) extra["state"] = process.state;
    if (Object.keys(extra).length > 0) this.extras.set(slot, extra as Extra);
    else this.extras.delete(slot);
  }

  /** Begins to load a tree in columns. */
  load(rootId: string, count: number, asOf: number): ColumnLoad {
    this.rootId ||= rootId;
    this.reserve(this.count + count);
    const base = { sites: this.sites.length, origins: this.origins.length, errors: this.failures.length };
    const places = new Int32Array(count).fill(NONE);
    const orphans = new Set<number>();
    const deep = new Set<number>();
    return {
      sites: (table) => append(this.sites, table),
      origins: (table) => append(this.origins, table),
      errors: (table) => append(this.failures, table),
      processes: (columns) => this.putColumns(columns, places, base, asOf, orphans, deep),
      rare: (entries) => this.putRare(entries, places, asOf, orphans, deep),
      end: () => {
        // Processes without a parent, except the root's own.
        for (const slot of orphans) {
          this.unlink(slot);
          this.link(slot, null);
          this.electOwn(slot);
        }
      },
    };
  }

  private putColumns(columns: Columns, places: Int32Array, base: Base, asOf: number, orphans: Set<number>, deep: Set<number>): void {
    const { count, first, ids, parents, flags } = columns;
    const place = (table: Uint32Array, index: number, from: number) => (table[index] === NOTHING ? NONE : (table[index] as number) + from);
    for (let index = 0; index < count; index += 1) {
      const low = ids[2 * index] as number;
      const high = ids[2 * index + 1] as number;
      const known = this.ids.find(high, low);
      places[first + index] = known;
      if (known >= 0 && (this.asOf[known] as number) >= asOf) continue;
      const slot = known >= 0 ? known : this.take(high, low);
      places[first + index] = slot;
      if (known < 0) this.ids.add(slot);
      else this.unlink(slot);
      this.asOf[slot] = asOf;
      this.started[slot] = columns.started[index] as number;
      this.ended[slot] = columns.ended[index] as number;
      this.elapsed[slot] = columns.elapsed[index] as number;
      this.site[slot] = place(columns.sites, index, base.sites);
      this.origin[slot] = place(columns.origins, index, base.origins);
      this.error[slot] = place(columns.errors, index, base.errors);
      this.state[slot] = COLUMN_STATES[columns.states[index] as number] ?? OTHER;
      this.made.delete(slot);
      this.extras.delete(slot);
      const isOrphan = ((flags[index] as number) & ORPHAN) !== 0;
      const parent = parents[index] === NOTHING || isOrphan ? NONE : (places[parents[index] as number] ?? NONE);
      this.topmost[slot] = 0;
      this.told.delete(slot);
      if (parent !== NONE) {
        this.attach(slot, parent);
      } else if (isOrphan) {
        // The reported parent follows with the rare fields.
        orphans.add(slot);
        if (((flags[index] as number) & DEEP) !== 0) deep.add(slot);
        this.link(slot, UNTOLD);
      } else {
        this.link(slot, null);
      }
      this.adoptWaiting(slot);
      if (parent === NONE && !isOrphan) this.electOwn(slot);
    }
    this.content += 1;
  }

  private putRare(entries: readonly Rare[], places: Int32Array, asOf: number, orphans: Set<number>, deep: Set<number>): void {
    for (const [place, rest] of entries) {
      const slot = places[place] ?? NONE;
      if (slot === NONE || this.asOf[slot] !== asOf) continue;
      this.made.delete(slot);
      this.writeExtra(slot, rest);
      if (rest.parent_id !== undefined && rest.parent_id !== null) {
        orphans.delete(slot);
        if (deep.has(slot)) {
          this.told.set(slot, rest.parent_id);
          continue;
        }
        this.unlink(slot);
        this.link(slot, rest.parent_id);
      }
    }
    this.content += 1;
  }

  private parentIdOf(slot: number): string | null {
    if (this.topmost[slot]) return null;
    return this.told.get(slot) ?? this.idOf(this.parents[slot] as number);
  }

  private link(slot: number, parentId: string | null): void {
    let parent = parentId === null ? NONE : (this.find(parentId) ?? NONE);
    this.topmost[slot] = parentId === null ? 1 : 0;
    if (parentId !== null && parent === NONE) {
      const waiting = this.waiting.get(parentId) ?? new Set();
      this.waiting.set(parentId, waiting.add(slot));
    }
    // Only a process with children can close a cycle. Checking always would make deep chains quadratic.
    if (parent === slot || (parent !== NONE && this.siblings(slot).length > 0 && this.isBelow(parent, slot))) parent = NONE;
    // A parent id equal to the lower half of the root's id means the root's own process, if no process has that id.
    if (parent === NONE && parentId !== null && parentId === this.rootId.slice(16) && slot !== this.own && this.own !== NONE) parent = this.own;
    if (parentId !== null && parent === NONE) this.told.set(slot, parentId);
    else this.told.delete(slot);
    if (parent === NONE && slot !== this.own) {
      this.adopted.add(slot);
      if (this.own !== NONE && !this.isBelow(this.own, slot)) parent = this.own;
    }
    this.attach(slot, parent);
  }

  private unlink(slot: number): void {
    const told = this.told.get(slot);
    if (told !== undefined) this.waiting.get(told)?.delete(slot);
    this.adopted.delete(slot);
    this.detach(slot);
  }

  private attach(slot: number, parent: number): void {
    this.parents[slot] = parent;
    if (parent !== NONE && this.children[parent] === NOBODY) this.children[parent] = [];
    const siblings = this.siblings(parent);
    let at = siblings.length;
    // Most processes arrive in order, so the position is usually the end.
    if (at > 0 && this.before(slot, siblings[at - 1] as number)) {
      let low = 0;
      while (low < at) {
        const middle = (low + at) >> 1;
        if (this.before(slot, siblings[middle] as number)) at = middle;
        else low = middle + 1;
      }
      siblings.splice(at, 0, slot);
    } else {
      siblings.push(slot);
    }
    this.structure += 1;
  }

  private detach(slot: number): void {
    const siblings = this.siblings(this.parents[slot] ?? NONE);
    const at = this.placeAmong(siblings, slot);
    if (at >= 0) siblings.splice(at, 1);
    this.structure += 1;
  }

  /** Returns the position of a slot among its sorted siblings. */
  private placeAmong(siblings: readonly number[], slot: number): number {
    let [low, high] = [0, siblings.length - 1];
    while (low <= high) {
      const middle = (low + high) >> 1;
      const found = siblings[middle] as number;
      if (found === slot) return middle;
      if (this.before(found, slot)) low = middle + 1;
      else high = middle - 1;
    }
    return siblings.indexOf(slot);
  }

  private siblings(parent: number): number[] {
    return parent === NONE ? this.tops : (this.children[parent] as number[]);
  }

  private adoptWaiting(slot: number): void {
    if (this.waiting.size === 0) return;
    const id = this.idOf(slot);
    const waiting = this.waiting.get(id);
    if (!waiting) return;
    this.waiting.delete(id);
    for (const child of waiting) this.relink(child);
  }

  /** Determines the root's own process: the one without a parent with the smallest start and id. */
  private electOwn(slot: number): void {
    const before = this.own;
    let own = before !== NONE && this.topmost[before] ? before : NONE;
    const candidates = slot === before ? [...this.adopted, slot] : [slot];
    for (const candidate of candidates) {
      if (!this.topmost[candidate]) continue;
      if (own === NONE || this.before(candidate, own)) own = candidate;
    }
    if (own === before) return;
    this.own = own;
    if (own !== NONE) this.relink(own);
    if (before !== NONE) this.relink(before);
    for (const adopted of [...this.adopted]) this.relink(adopted);
  }

  private relink(slot: number): void {
    const parentId = this.parentIdOf(slot);
    this.made.delete(slot);
    this.unlink(slot);
    this.link(slot, parentId);
  }

  private isBelow(slot: number, ancestor: number): boolean {
    for (let at = slot; at !== NONE; at = this.parents[at] ?? NONE) if (at === ancestor) return true;
    return false;
  }

  /** Compares as the server does: by start (those without one are last), then by id. */
  private before(a: number, b: number): boolean {
    const [left, right] = [this.started[a] as number, this.started[b] as number];
    if (left < right) return true;
    if (left > right) return false;
    // NaN means that there is no start.
    const [isLeft, isRight] = [left === left, right === right];
    if (isLeft !== isRight) return isLeft;
    if (this.odd.size > 0) return this.idOf(a) < this.idOf(b);
    const [high, other] = [this.high[a] as number, this.high[b] as number];
    return high < other || (high === other && (this.low[a] as number) < (this.low[b] as number));
  }
}

interface Base {
  sites: number;
  origins: number;
  errors: number;
}

/** Accepts the parts of a tree in columns, in the order of arrival. */
export interface ColumnLoad {
  sites: (table: readonly Site[]) => void;
  origins: (table: readonly Origin[]) => void;
  errors: (table: readonly Failure[]) => void;
  processes: (columns: Columns) => void;
  rare: (entries: readonly Rare[]) => void;
  end: () => void;
}

const NO_SITE: Site = { name: "", kind: "", source: null };
const NO_ORIGIN: Origin = { worker_id: null, thread: null };

function numberOf(value: number | undefined): number | null {
  return value === undefined || Number.isNaN(value) ? null : value;
}

function alike(a: Failure | null, b: Failure): boolean {
  return a !== null && a.message === b.message && JSON.stringify(a) === JSON.stringify(b);
}

function append<Item>(table: Item[], items: readonly Item[]): void {
  for (const item of items) table.push(item);
}

function intern<Item>(keys: Map<string, number>, table: Item[], key: string, make: () => Item): number {
  let at = keys.get(key);
  if (at === undefined) {
    at = table.push(make()) - 1;
    keys.set(key, at);
  }
  return at;
}

/** A hierarchy of processes: the tree, or its lanes. */
export type Forest = Pick<Tree, "size" | "childrenOf" | "parentOf">;

/** Returns the ancestors of a slot, nearest first. */
export function ancestors(tree: Forest, slot: number): number[] {
  const above: number[] = [];
  for (let at = tree.parentOf(slot); at !== undefined; at = tree.parentOf(at)) above.push(at);
  return above;
}
