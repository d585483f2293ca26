/** The output of a run, read from its agent in pieces. */
import { plain } from "./text.ts";

export interface LogPiece {
  offset: number;
  text: string;
  next_offset: number;
  size_bytes: number;
  is_over: boolean;
}

/** Number of bytes at the end of a longer log that are read first. */
export const TAIL_BYTES = 512 << 10;
/** Maximum number of lines that are kept in memory. */
export const MOST_LINES = 50_000;
/** Maximum length of a line. */
const LONGEST = 4_000;

export class RunLog {
  /** Lines; the last one may be incomplete. */
  lines: string[] = [];
  /** Offset of the next byte to read. */
  next = 0;
  size = 0;
  /** Offset of the first displayed byte. */
  from = 0;
  /** Number of lines that were dropped because of the limit. */
  forgotten = 0;
  /** True if the run has ended, and all its output was read. */
  isWhole = false;
  private isPartial = false;

  constructor(private readonly fromBeginning = false) {}

  /** Adds a piece; returns true if more can be read at once. */
  add(piece: LogPiece): boolean {
    this.size = piece.size_bytes;
    if (piece.offset !== this.next) return true;
    if (this.next === 0 && !this.fromBeginning && piece.size_bytes > TAIL_BYTES) {
      this.next = this.from = piece.size_bytes - TAIL_BYTES;
      return true;
    }
    let text = piece.text;
    // The tail may begin within a line, and even within a character.
    if (this.from > 0 && piece.offset === this.from) text = text.slice(text.indexOf("\n") + 1);
    const added = text.split("\n");
    if (this.isPartial) added[0] = (this.lines.pop() ?? "") + added[0];
    this.isPartial = added.at(-1) !== "";
    if (!this.isPartial) added.pop();
    for (const line of added) this.lines.push(line.slice(0, LONGEST));
    const over = this.lines.length - MOST_LINES;
    if (over > 0) {
      this.lines.splice(0, over);
      this.forgotten += over;
    }
    this.next = piece.next_offset;
    const isAtEnd = this.next >= piece.size_bytes || piece.next_offset === piece.offset;
    this.isWhole = isAtEnd && piece.is_over;
    return !isAtEnd;
  }

  /** Returns the lines that contain a text, ignoring case, by index; all lines if the text is empty. */
  found(wanted: string): number[] {
    const text = wanted.toLowerCase();
    const places: number[] = [];
    this.lines.forEach((line, at) => {
      if (text === "" || line.toLowerCase().includes(text)) places.push(at);
    });
    return places;
  }
}

/** Returns a line as a terminal displays it: without colours, and with overwritten text replaced. */
export function plainLine(line: string): string {
  const shown = plain(line).replace(/\r+$/, "");
  return shown.slice(shown.lastIndexOf("\r") + 1);
}

/**
 * Parses a run's id such as `gold@20261121T023000Z.1` into task and due time in Unix microseconds; undefined if it is invalid. The id of a
 * heartbeat's run with a UUID has no time.
 */
export function readRunId(id: string): { task: string; dueUs: number | undefined } | undefined {
  const [, task, year, month, day, hour, minute, second] = /^(.+)@(?:(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z\.[0-9a-f]+|[0-9a-f-]{36})$/.exec(id) ?? [];
  if (task === undefined) return undefined;
  if (year === undefined) return { task, dueUs: undefined };
  return { task, dueUs: Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second)) * 1000 };
}

/** Returns the first lines of a text, and the number of further lines. */
export function firstLines(text: string, most: number): { text: string; more: number } {
  const lines = text.trimEnd().split("\n");
  return { text: lines.slice(0, most).join("\n"), more: Math.max(0, lines.length - most) };
}
