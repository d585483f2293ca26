/** The lines of a process or of a tree as they are read and kept true: lives outside React, which draws them once per frame. */
import { fetchLogs } from "../../../api/client.ts";
import type { LogLine, LogsPage } from "../../../api/types.ts";
import { Lines, type LogFilter, matchesLog } from "../../../model/logs.ts";
import type { RootView } from "../view.ts";

const PAGE = 500;
/** Beyond this many the oldest are forgotten, so that a page open for days does not grow. */
const MOST = 20_000;

export class LogFeed {
  lines = new Lines(MOST);
  loading = true;
  problem: unknown = null;
  /** How many lines the server did not keep, and between which times. */
  missing: Pick<LogsPage, "missing" | "gap"> = { missing: 0 };
  /** Lines that were read and are forgotten again. */
  forgotten = 0;

  private cursor: string | null = null;
  private version = 0;
  private frame = 0;
  private reading: AbortController | null = null;
  private unwatch: (() => void) | null = null;
  private readonly listeners = new Set<() => void>();

  constructor(
    private readonly view: RootView,
    private readonly filter: LogFilter,
  ) {}

  readonly subscribe = (listener: () => void) => {
    this.listeners.add(listener);
    if (this.listeners.size === 1) this.start();
    return () => {
      this.listeners.delete(listener);
      if (this.listeners.size === 0) this.stop();
    };
  };

  readonly get = () => this.version;

  get hasOlder(): boolean {
    return this.cursor !== null;
  }

  readonly retry = () => void this.read(this.lines.all.length > 0);

  /** Reads the page before, unless one is being read. */
  older(): void {
    if (this.cursor !== null && !this.loading && this.problem === null && this.lines.all.length < MOST) void this.read(true);
  }

  private start(): void {
    // Listens first, so that nothing is missed between the two.
    const take = (lines: readonly LogLine[] | null) => {
      if (lines === null) return this.startAnew();
      if (this.lines.add(lines.filter((line) => matchesLog(this.filter, line))) === 0) return;
      const over = this.lines.trim();
      this.forgotten += over;
      if (over > 0) this.cursor = null;
      this.changed();
    };
    this.view.logListeners.add(take);
    this.unwatch = () => this.view.logListeners.delete(take);
    void this.read(false);
  }

  /** Something was missed: what is known would have a hole that nobody sees. */
  private startAnew(): void {
    this.lines = new Lines(MOST);
    this.cursor = null;
    this.forgotten = 0;
    void this.read(false);
  }

  private stop(): void {
    this.unwatch?.();
    this.reading?.abort();
    cancelAnimationFrame(this.frame);
    this.frame = 0;
  }

  private async read(older: boolean): Promise<void> {
    this.reading?.abort();
    const reading = new AbortController();
    this.reading = reading;
    this.loading = true;
    this.problem = null;
    this.changed();
    try {
      let found = 0;
      // A page may be short, even empty, and still have one before it.
      do {
        const { process, level, q } = this.filter;
        const query = { limit: PAGE, order: "newest", ...(level && { level }), ...(q && { q }), ...(older && this.cursor !== null && { cursor: this.cursor }) } as const;
        const page = await fetchLogs(this.view.param, process, query, reading.signal);
        found += this.lines.add(page.logs);
        this.cursor = page.next_cursor;
        this.missing = page;
        older = true;
      } while (found === 0 && this.cursor !== null);
    } catch (error) {
      if (reading.signal.aborted) return;
      this.problem = error;
    }
    this.loading = false;
    this.changed();
  }

  private changed(): void {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.version += 1;
      for (const listener of this.listeners) listener();
    });
  }
}
