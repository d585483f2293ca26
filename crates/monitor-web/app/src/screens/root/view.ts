/** A root's tree, read from the server and updated by the stream. Exists outside React, which draws it once per frame. */
import { ApiError, fetchTree } from "../../api/client.ts";
import { readColumns } from "../../api/columns.ts";
import type { LogLine, Process, Root, TreePage } from "../../api/types.ts";
import { workersVersion } from "../../data/workers/live.ts";
import { connectionStore, type Subscription, subscribe } from "../../live/live.ts";
import type { Batch } from "../../live/messages.ts";
import { clockOffsets } from "../../model/clocks.ts";
import type { Origin, Part } from "../../model/columns.ts";
import { Derived } from "../../model/derived.ts";
import { type Failures, failures } from "../../model/failures.ts";
import { find, type Found } from "../../model/filter.ts";
import { type Histogram, histogramOf, type Spread, spread } from "../../model/histogram.ts";
import { type Lane, Lanes } from "../../model/lanes.ts";
import { preorder, Rollup } from "../../model/rollup.ts";
import { type Arrangement, comfortableDepth, finished, Folding, type Group, type Rows, visibleRows } from "../../model/rows.ts";
import { type Layout, layOut } from "../../model/timeline.ts";
import { type ColumnLoad, Tree } from "../../model/tree.ts";
import { type LaneKind, laneNames } from "./lanes.ts";

/** Sufficient for the first view; the rest is read in few large pages. */
const FIRST_PAGE = 250;
const NEXT_PAGE = 50_000;

/** Delay before a failed request is repeated while the server is reachable. */
const AGAIN_MS = 2000;

/** Approximate number of rows of a tree that are visible at once. */
const SCREENFUL = 40;

/** Durations of a group's members, and the number of members that still run. */
export interface GroupSpread {
  histogram: Histogram;
  spread: Spread | undefined;
  running: number;
}

export class RootView {
  readonly tree = new Tree();
  readonly folding = new Folding();
  root: Root | null = null;
  /** Known gaps in the tree, as of the time when the tree was read or ended. */
  missing: Pick<TreePage, "dropped" | "ignored_parents" | "deep_parents"> = { dropped: [], ignored_parents: 0, deep_parents: 0 };
  loading = true;
  problem: unknown = null;

  /** Listeners for log lines of the tree; called with null when events were missed. */
  readonly logListeners = new Set<(lines: readonly LogLine[] | null) => void>();

  private rootAsOf = -1;
  private version = 0;
  private frame = 0;
  private reading: AbortController | null = null;
  private subscription: Subscription | null = null;
  private unwatch: () => void = () => undefined;
  private readonly listeners = new Set<() => void>();
  private filter = "";
  private grouped = false;
  private laneKind: LaneKind = "tree";
  private readonly spreads = new WeakMap<Group, GroupSpread & { version: number }>();
  private again: ReturnType<typeof setTimeout> | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly later = (ms: number) => {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.changed();
    }, ms);
  };
  private readonly orders = new Derived<Int32Array>(this.later);
  private readonly layouts = new Derived<Layout>(this.later);
  private readonly laneLists = new Derived<Lanes>(this.later);
  private readonly offsets = new Derived<Map<string, number>>(this.later);
  private readonly rollups = new Derived<Rollup>(this.later);
  private readonly finds = new Derived<Found>(this.later);
  private readonly rowLists = new Derived<Rows>(this.later);
  private readonly wrong = new Derived<Failures>(this.later);

  constructor(readonly param: string) {}

  /** For `useSyncExternalStore`. The tree is read and followed while there are listeners. */
  readonly subscribe = (listener: () => void) => {
    this.listeners.add(listener);
    if (this.listeners.size === 1) this.start();
    return () => {
      this.listeners.delete(listener);
      if (this.listeners.size === 0) this.stop();
    };
  };

  readonly get = () => this.version;

  /** The root's own process, once it is known. */
  own(): Process | undefined {
    const top = this.tree.childrenOf(undefined)[0];
    return top === undefined ? undefined : this.tree.at(top);
  }

  /** The process of a run that consists of it alone. */
  only(): Process | undefined {
    const own = this.tree.size === 1 ? this.own() : undefined;
    const total = Object.values(this.root?.counts ?? {}).reduce((sum, each) => sum + each, 0);
    return total > 1 || own?.fold ? undefined : own;
  }

  /** All slots in pre-order. */
  order(): Int32Array {
    return this.orders.get("", this.tree.structureVersion, () => preorder(this.tree));
  }

  /** All processes as bars of a timeline. */
  layout(kind: LaneKind, originUs: number, corrected: boolean): Layout {
    const offsets = this.clocks();
    const shift = corrected ? ({ worker_id }: Origin) => (worker_id === null ? 0 : (offsets.get(worker_id) ?? 0)) : undefined;
    return this.layouts.get(`${kind} ${originUs} ${corrected}`, this.namedVersion(), () => layOut(this.tree, this.order(), originUs, laneNames(kind), shift));
  }

  /** The lanes of the tree, if it is split into lanes. */
  lanes(): Lanes | undefined {
    if (this.laneKind === "tree") return undefined;
    return this.laneLists.get(this.laneKind, this.namedVersion(), () => new Lanes(this.tree, this.order(), laneNames(this.laneKind)));
  }

  /** Common location of all processes in a lane. */
  placeOf({ tops }: Lane): Origin {
    const { worker_id, thread } = this.tree.originOf(tops[0] as number);
    return { worker_id: this.laneKind === "host" ? null : worker_id, thread: this.laneKind === "thread" ? thread : null };
  }

  /** Increases with changes of the tree and of workers, whose names label the lanes. */
  private namedVersion(): number {
    return this.tree.version + workersVersion();
  }

  /** Corrections of times by workers with differing clocks. */
  clocks(): Map<string, number> {
    return this.offsets.get("", this.tree.version, () => clockOffsets(this.tree, this.order()));
  }

  /** Summaries of the descendants of each process, within its lane if there are lanes. */
  rollup(): Rollup {
    return this.rollups.get(this.laneKind, this.namedVersion(), () => new Rollup(this.tree, this.order(), this.lanes()));
  }

  /** Result of the filter; undefined without a filter. */
  found(): Found | undefined {
    if (this.filter === "") return undefined;
    return this.finds.get(`${this.laneKind} ${this.filter}`, this.laneKind === "tree" ? this.tree.version : this.namedVersion(), () => find(this.tree, this.filter, this.lanes()));
  }

  rows(): Rows {
    const arrangement = this.arrangement();
    const { found, rollup, lanes } = arrangement;
    // Matches, attention and lanes change with any process; the position of rows only changes with the structure.
    const version = lanes ? this.namedVersion() : found || rollup ? this.tree.version : this.tree.structureVersion;
    const settings = `${this.folding.version} ${this.grouped} ${this.laneKind} ${this.filter}`;
    return this.rowLists.get(settings, version, () => visibleRows(this.tree, this.folding, arrangement));
  }

  private arrangement(): Arrangement {
    const found = this.found();
    return { found, rollup: this.grouped && !found ? this.rollup() : undefined, lanes: this.lanes() };
  }

  /** Key for selecting a row: for a process, its id; for a group, `~` and the id of its first member; for a lane, `@` and its key. */
  idOf(row: number): string | undefined {
    const slot = this.rows().slots[row];
    if (slot === undefined || slot >= 0) return slot === undefined ? undefined : this.tree.idOf(slot);
    const { lane, members } = this.groupAt(row) as Group;
    return lane ? `@${encodeURIComponent(lane.key)}` : `~${this.tree.idOf(members[0] as number)}`;
  }

  /** The row of an id as of `idOf`; -1 if it is not in sight. */
  rowOf(id: string): number {
    const { laneRows, groupRows, positions } = this.rows();
    if (id.startsWith("@")) return laneRows.get(laneKey(id)) ?? -1;
    const isGroup = id.startsWith("~");
    const slot = this.tree.find(isGroup ? id.slice(1) : id);
    if (slot === undefined) return -1;
    return (isGroup ? groupRows.get(slot) : positions[slot]) ?? -1;
  }

  groupAt(row: number): Group | undefined {
    const slot = this.rows().slots[row] ?? 0;
    return slot < 0 ? this.rows().groups[-1 - slot] : undefined;
  }

  spreadOf(group: Group): GroupSpread {
    const known = this.spreads.get(group);
    if (known?.version === this.tree.version) return known;
    const { tree } = this;
    const { histogram, ...rest } = histogramOf(group.members.map((slot) => tree.elapsedOf(slot)).filter((took) => !Number.isNaN(took)));
    const running = group.members.filter((slot) => tree.stateOf(slot) === "running").length;
    const of = { version: tree.version, histogram, spread: spread(histogram, rest), running };
    this.spreads.set(group, of);
    return of;
  }

  /** Row settings in the address. */
  arrange(filter: string, grouped: boolean, lanes: LaneKind): void {
    this.filter = filter;
    this.grouped = grouped;
    this.laneKind = lanes;
    this.changed();
  }

  /** Failures, the failing path first, otherwise in the order of the rows. */
  failures(): Failures {
    const lanes = this.lanes();
    return this.wrong.get(this.laneKind, lanes ? this.namedVersion() : this.tree.version, () => failures(this.tree, lanes ? preorder(lanes) : undefined));
  }

  /** Why the tree failed. */
  cause(): number | undefined {
    const counts = this.root?.counts;
    if (!counts || counts.failed + counts.lost === 0) return undefined;
    return this.failures().cause;
  }

  fold(slot: number, open: boolean): void {
    this.folding.set(slot, open);
    this.changed();
  }

  foldGroup({ key, lane }: Group, open: boolean): void {
    if (lane) this.folding.setLane(key, open);
    else this.folding.setGroup(key, open);
    this.changed();
  }

  foldAll(depth: number): void {
    this.folding.toDepth(depth);
    this.changed();
  }

  reveal(slot: number): void {
    const before = this.folding.version;
    this.folding.reveal(this.tree, slot, this.arrangement());
    if (this.folding.version !== before) this.changed();
  }

  readonly retry = () => void this.read();

  private start(): void {
    void this.read();
    // Data that could not be read because the connection was interrupted is read when it is back.
    this.unwatch = connectionStore.subscribe(() => {
      if (this.isBroken()) void this.read();
    });
  }

  /** True if the tree could not be read although the server is reachable and did not refuse the request. */
  private isBroken(): boolean {
    const isRefused = this.problem instanceof ApiError && this.problem.status >= 400;
    return this.problem !== null && !isRefused && connectionStore.get().state === "live";
  }

  private async read(): Promise<void> {
    clearTimeout(this.again);
    this.reading?.abort();
    const reading = new AbortController();
    this.reading = reading;
    const first = this.tree.size === 0;
    this.loading = true;
    this.problem = null;
    this.changed();
    try {
      const page = await fetchTree(this.param, { limit: FIRST_PAGE }, reading.signal);
      this.takePage(page);
      if (page.next_cursor !== null) {
        // The first rows are there; all others come in columns.
        if (first) this.folding.toDepth(1);
        this.changed();
        const id = page.root.root_id;
        if (!(await readColumns(id, reading.signal, this.columns(id)))) await this.readPages(page.next_cursor, reading.signal);
      }
      if (first) this.open();
    } catch (error) {
      if (reading.signal.aborted) return;
      this.problem = error;
      // If a single request fails while the stream continues, nothing else would cause the tree to be read again.
      this.again = setTimeout(() => {
        if (this.isBroken()) void this.read();
      }, AGAIN_MS);
    }
    this.loading = false;
    this.changed();
  }

  /** Expands the tree as far as is comfortable. In a running tree that is longer than a screen, ended parts start collapsed. */
  private open(): void {
    const isLong = this.tree.size > SCREENFUL && this.root?.ended_us === null;
    const closed = isLong ? finished(this.tree, new Rollup(this.tree, preorder(this.tree))) : new Set<number>();
    this.folding.toDepth(comfortableDepth(this.tree, closed));
    for (const slot of closed) this.folding.set(slot, false);
  }

  /** The rest of the tree page by page, from a server that knows no columns. */
  private async readPages(from: string, signal: AbortSignal): Promise<void> {
    for (let cursor: string | null = from; cursor !== null; ) {
      const page = await fetchTree(this.param, { limit: NEXT_PAGE, cursor }, signal);
      this.takePage(page);
      cursor = page.next_cursor;
      this.changed();
    }
  }

  private takePage(page: TreePage): void {
    this.follow(page.root.root_id);
    this.subscription?.loaded(page.as_of);
    this.takeRoot(page.root, page.as_of);
    this.missing = page;
    for (const process of page.processes) this.tree.put(process, page.as_of);
  }

  /** Takes the parts of the tree in columns. */
  private columns(rootId: string): (part: Part) => void {
    let load: ColumnLoad | undefined;
    return (part) => {
      if (part.kind === "head") {
        this.takeRoot(part.head.root, part.head.as_of);
        this.missing = part.head;
        load = this.tree.load(rootId, part.head.count, part.head.as_of);
      } else if (part.kind === "processes") load?.processes(part.columns);
      else if (part.kind === "rare") load?.rare(part.entries);
      else if (part.kind === "end") load?.end();
      else load?.[part.kind](part.table as never);
      this.changed();
    };
  }

  private follow(rootId: string): void {
    this.subscription ??= subscribe(
      { models: ["root", "process", "log"], tree: rootId },
      { batch: (batch) => this.take(batch), reset: () => this.readAgain() },
    );
  }

  private async readMissing(): Promise<void> {
    const { signal } = (this.reading ??= new AbortController());
    try {
      this.missing = await fetchTree(this.param, { limit: 1 }, signal);
      this.changed();
    } catch {
      // The next reading of the tree brings it.
    }
  }

  private readAgain(): void {
    this.tree.expire();
    this.rootAsOf = -1;
    for (const listener of this.logListeners) listener(null);
    void this.read();
  }

  private take(batch: Batch): void {
    if (this.root && batch.dropped.includes(this.root.number)) return this.gone();
    const { root = [], process = [], log = [] } = batch.models;
    for (const { model, asOf } of root) this.takeRoot(model, asOf);
    for (const { model, asOf } of process) this.tree.put(model, asOf);
    if (log.length > 0) for (const listener of this.logListeners) listener(log.map(({ model }) => model));
    if (root.length + process.length > 0) this.changed();
  }

  /** The tree was deleted, so the data here would never change again. */
  private gone(): void {
    this.reading?.abort();
    this.root = null;
    this.loading = false;
    this.problem = new ApiError("", 410);
    this.changed();
  }

  private takeRoot(root: Root, asOf: number): void {
    if (asOf < this.rootAsOf) return;
    // Losses are counted while the tree runs, but the stream does not report them.
    if (this.root && this.root.state !== root.state) void this.readMissing();
    this.root = root;
    this.rootAsOf = asOf;
  }

  private stop(): void {
    this.unwatch();
    clearTimeout(this.again);
    this.reading?.abort();
    this.subscription?.close();
    this.subscription = null;
    clearTimeout(this.timer);
    this.timer = undefined;
    cancelAnimationFrame(this.frame);
    this.frame = 0;
  }

  private changed(): void {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.version += 1;
      for (const listener of this.listeners) listener();
    });
  }
}

function laneKey(id: string): string {
  try {
    return decodeURIComponent(id.slice(1));
  } catch {
    // Addresses may contain invalid values.
    return "";
  }
}
