/**
 * The log lines of a process or a tree, read from the server and updated by the stream. Exists outside React, which draws them once per
 * frame.
 */
import { fetchLogs } from "../../../api/client.ts";
import type { LogLine, LogsPage } from "../../../api/types.ts";
import { onReconnect } from "../../../live/live.ts";
import { isError, Lines, type LogFilter, matchesLog } from "../../../model/logs.ts";
import { plain } from "../../../model/text.ts";
import type { RootView } from "../view.ts";

const PAGE = 500;
/** Size of pages that are read to reach a line. */
const LARGE_PAGE = 5_000;
/** Above this number the oldest lines are dropped, so that a page that is open for days does not grow. */
const MOST = 20_000;

export class LogFeed {
  lines = new Lines(MOST);
  loading = true;
  problem: unknown = null;
  /** Number of lines that the server did not keep, and their time range. */
  missing: Pick<LogsPage, "missing" | "gap"> = { missing: 0 };
  /** Number of lines that were read and dropped again. */
  forgotten = 0;

  private cursor: string | null = null;
  private version = 0;
  private frame = 0;
  private reading: AbortController | null = null;
  private finding: AbortController | null = null;
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

  /** Reads the previous page, unless a page is being read. */
  older(): void {
    if (this.cursor !== null && !this.loading && this.problem === null && this.lines.all.length < MOST) void this.read(true);
  }

  readonly fail = (problem: unknown) => {
    if (problem instanceof DOMException && problem.name === "AbortError") return;
    this.problem = problem;
    this.changed();
  };

  /**
   * Returns the first line of level error, loaded or not, and loads the lines from there on if there are not too many. Output of commands
   * has no levels, so the line that is the `reason` of the failure counts if there is no such line.
   */
  async firstError(reason: string | undefined): Promise<LogLine | undefined> {
    const { q } = this.filter;
    let first = await this.findFirst({ level: "error", ...(q && { q }) }, isError);
    if (!first && reason !== undefined && !q) first = await this.findFirst({ q: reason }, ({ message }) => plain(message).includes(reason));
    while (first && !this.lines.find(first) && this.cursor !== null && this.lines.all.length < MOST) {
      await this.read(true, LARGE_PAGE);
      if (this.problem !== null) break;
    }
    // Lines in JSON have a level of their own, which the server does not know.
    const loaded = this.lines.all.find(isError);
    const known = first && (this.lines.find(first) ?? first);
    return loaded && !(known && known.time_us < loaded.time_us) ? loaded : known;
  }

  private async findFirst(query: { level?: "error"; q?: string }, isIt: (line: LogLine) => boolean): Promise<LogLine | undefined> {
    this.finding?.abort();
    this.finding = new AbortController();
    const { signal } = this.finding;
    let cursor: string | null = null;
    do {
      const page: LogsPage = await fetchLogs(this.view.param, this.filter.process, { limit: PAGE, order: "oldest", ...query, ...(cursor !== null && { cursor }) }, signal);
      const found = page.logs.find(isIt);
      if (found) return found;
      cursor = page.next_cursor;
    } while (cursor !== null);
    return undefined;
  }

  private start(): void {
    // Subscribe first, so that no line is missed in between.
    const take = (lines: readonly LogLine[] | null) => {
      if (lines === null) return this.startAnew();
      if (this.lines.add(lines.filter((line) => matchesLog(this.filter, line))) === 0) return;
      const over = this.lines.trim();
      this.forgotten += over;
      if (over > 0) this.cursor = null;
      this.changed();
    };
    this.view.logListeners.add(take);
    const endReconnect = onReconnect(() => {
      if (this.problem !== null) this.retry();
    });
    this.unwatch = () => {
      this.view.logListeners.delete(take);
      endReconnect();
    };
    void this.read(false);
  }

  /** Lines were missed: start anew, because the known lines would have an unmarked gap. */
  private startAnew(): void {
    this.lines = new Lines(MOST);
    this.cursor = null;
    this.forgotten = 0;
    void this.read(false);
  }

  private stop(): void {
    this.unwatch?.();
    this.reading?.abort();
    this.finding?.abort();
    cancelAnimationFrame(this.frame);
    this.frame = 0;
  }

  private async read(older: boolean, limit = PAGE): Promise<void> {
    this.reading?.abort();
    const reading = new AbortController();
    this.reading = reading;
    this.loading = true;
    this.problem = null;
    this.changed();
    try {
      let found = 0;
      // A page may be short or empty, although a previous one exists.
      do {
        const { process, level, q } = this.filter;
        const query = { limit, order: "newest", ...(level && { level }), ...(q && { q }), ...(older && this.cursor !== null && { cursor: this.cursor }) } as const;
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
