/** The output of a run as it is read from its agent, a piece after the other. */

export interface LogPiece {
  offset: number;
  text: string;
  next_offset: number;
  size_bytes: number;
  is_over: boolean;
}

/** Of a longer log the end is read first: so many bytes. */
export const TAIL_BYTES = 512 << 10;
/** No more lines than these are kept here. */
export const MOST_LINES = 50_000;
/** No line is longer than this. */
const LONGEST = 4_000;

export class RunLog {
  /** Whole lines; the last one may still be written to. */
  lines: string[] = [];
  /** The next byte that is to be read. */
  next = 0;
  size = 0;
  /** The first byte that is shown. */
  from = 0;
  /** Lines that were forgotten, as there were too many. */
  forgotten = 0;
  /** The run has ended, and all that it wrote is here. */
  isWhole = false;
  private isPartial = false;

  constructor(private readonly fromBeginning = false) {}

  /** Returns true if there is more to be read at once. */
  add(piece: LogPiece): boolean {
    this.size = piece.size_bytes;
    if (piece.offset !== this.next) return true;
    if (this.next === 0 && !this.fromBeginning && piece.size_bytes > TAIL_BYTES) {
      this.next = this.from = piece.size_bytes - TAIL_BYTES;
      return true;
    }
    let text = piece.text;
    // Where the tail begins a line is cut, and perhaps a character.
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

  /** The lines that contain a text, in any case, each with its place; all of them if there is nothing to look for. */
  found(wanted: string): number[] {
    const text = wanted.toLowerCase();
    const places: number[] = [];
    this.lines.forEach((line, at) => {
      if (text === "" || line.toLowerCase().includes(text)) places.push(at);
    });
    return places;
  }
}

const ESCAPES = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-Z\\^_])/g;

/** A line as a terminal would leave it: without colours, and of what was written over itself the last. */
export function plainLine(line: string): string {
  const plain = line.replace(ESCAPES, "").replace(/\r+$/, "");
  return plain.slice(plain.lastIndexOf("\r") + 1);
}

/**
 * Task and due time, in Unix microseconds, of a run's id such as `gold@20261121T023000Z.1`; nothing if it is none. A run of a heartbeat with a
 * UUID of its own has no time in its id.
 */
export function readRunId(id: string): { task: string; dueUs: number | undefined } | undefined {
  const [, task, year, month, day, hour, minute, second] = /^(.+)@(?:(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z\.[0-9a-f]+|[0-9a-f-]{36})$/.exec(id) ?? [];
  if (task === undefined) return undefined;
  if (year === undefined) return { task, dueUs: undefined };
  return { task, dueUs: Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second)) * 1000 };
}

/** The first lines of a text, and how many there are more. */
export function firstLines(text: string, most: number): { text: string; more: number } {
  const lines = text.trimEnd().split("\n");
  return { text: lines.slice(0, most).join("\n"), more: Math.max(0, lines.length - most) };
}
