/** Log lines: filtering, parsing and ordering. Pure. */
import type { LogLine } from "../api/types.ts";

/** From the most severe; lines with other levels are always shown. */
export const LEVELS = ["error", "warn", "info", "debug", "trace"] as const;

export interface LogFilter {
  /** Minimum severity. */
  level?: (typeof LEVELS)[number] | undefined;
  /** Text in the message, logger or fields, ignoring case. */
  q?: string | undefined;
  /** Only lines of this process. */
  process?: string | undefined;
}

/** Returns true if a line from the stream matches the filter, by the same rules as the server. */
export function matchesLog({ level, q, process }: LogFilter, line: LogLine): boolean {
  if (process !== undefined && line.process_id !== process) return false;
  const wanted = level === undefined ? -1 : LEVELS.indexOf(level);
  if (wanted >= 0 && LEVELS.indexOf(line.level as (typeof LEVELS)[number]) > wanted) return false;
  const text = q?.toLowerCase() ?? "";
  const said = [line.message, line.target ?? "", Object.keys(line.fields).length === 0 ? "" : JSON.stringify(line.fields)];
  return text === "" || said.some((part) => part.toLowerCase().includes(text));
}

export interface Read {
  level: string;
  message: string;
}

/** Names that programs use for the levels. */
const WORDS: Readonly<Record<string, (typeof LEVELS)[number]>> = { fatal: "error", critical: "error", crit: "error", panic: "error", emerg: "error", alert: "error", err: "error", warning: "warn", notice: "info", information: "info", verbose: "debug" };
/** Numbers that pino and bunyan write as levels. */
const NUMBERS: readonly (readonly [least: number, level: (typeof LEVELS)[number]])[] = [[50, "error"], [40, "warn"], [30, "info"], [20, "debug"], [10, "trace"]];

/** Parses a line. A line in JSON contains its own level and message; its other values are appended. */
export function readLine({ level, message }: Pick<LogLine, "level" | "message">): Read {
  if (!/^\s*\{.*\}\s*$/s.test(message)) return { level, message };
  let said: Record<string, unknown>;
  try {
    said = JSON.parse(message) as Record<string, unknown>;
  } catch {
    return { level, message };
  }
  const keyOfLevel = ["level", "lvl", "severity", "levelname"].find((key) => key in said);
  const keyOfText = ["msg", "message", "event", "text"].find((key) => typeof said[key] === "string");
  if (keyOfLevel === undefined && keyOfText === undefined) return { level, message };
  const rest = Object.entries(said).filter(([key]) => key !== keyOfLevel && key !== keyOfText && !/^(ts|time|timestamp|@timestamp)$/.test(key));
  const words = rest.map(([key, value]) => `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`);
  return { level: (keyOfLevel !== undefined && levelOf(said[keyOfLevel])) || level, message: [keyOfText === undefined ? "" : (said[keyOfText] as string), ...words].filter(Boolean).join("  ") };
}

/** Returns true for a line of level error. */
export function isError(line: LogLine): boolean {
  return readLine(line).level === "error";
}

function levelOf(said: unknown): string | undefined {
  if (typeof said === "number") return NUMBERS.find(([least]) => said >= least)?.[1];
  const word = typeof said === "string" ? said.toLowerCase() : "";
  return LEVELS.find((level) => level === word) ?? (Object.hasOwn(WORDS, word) ? WORDS[word] : undefined);
}

/** Lines sorted by time without duplicates, in whichever order they are added. */
export class Lines {
  private lines: LogLine[] = [];
  private readonly known = new Set<string>();

  constructor(private readonly most: number) {}

  get all(): readonly LogLine[] {
    return this.lines;
  }

  /** Returns the loaded line that a line is, if any. */
  find(line: LogLine): LogLine | undefined {
    const key = keyOf(line);
    return this.known.has(key) ? this.lines.find((each) => keyOf(each) === key) : undefined;
  }

  /** Adds lines; returns the number of lines that are new. */
  add(lines: readonly LogLine[]): number {
    const fresh = lines.filter((line) => {
      const key = keyOf(line);
      return !this.known.has(key) && this.known.add(key);
    });
    if (fresh.length === 0) return 0;
    fresh.sort(compare);
    const last = this.lines[this.lines.length - 1];
    const first = this.lines[0];
    if (!last || compare(last, fresh[0] as LogLine) < 0) for (const line of fresh) this.lines.push(line);
    else if (first && compare(fresh[fresh.length - 1] as LogLine, first) < 0) this.lines = [...fresh, ...this.lines];
    else this.lines = [...this.lines, ...fresh].sort(compare);
    return fresh.length;
  }

  /** Drops the oldest lines beyond the limit; returns their number. */
  trim(): number {
    const over = this.lines.length - this.most;
    if (over <= 0) return 0;
    for (const line of this.lines.splice(0, over)) this.known.delete(keyOf(line));
    return over;
  }
}

function keyOf({ worker_id, number, process_id }: LogLine): string {
  return `${worker_id} ${number} ${process_id}`;
}

function compare(a: LogLine, b: LogLine): number {
  return a.time_us - b.time_us || order(a.process_id, b.process_id) || order(a.worker_id, b.worker_id) || a.number - b.number;
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
