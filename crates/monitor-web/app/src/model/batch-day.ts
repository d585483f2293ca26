/** A day of batch tasks: positions and kinds of its marks. Times are Unix microseconds. */
import type { BatchDayMark, BatchLane } from "../api/types.ts";

export interface DayBounds {
  /** `2026-11-22`, in the reader's time zone. */
  day: string;
  before: string;
  after: string;
  fromUs: number;
  /** 23 to 25 hours later, because of daylight saving time. */
  toUs: number;
}

const two = (number: number) => String(number).padStart(2, "0");
const named = (date: Date) => `${String(date.getFullYear()).padStart(4, "0")}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;

/** Returns the bounds of a day in the reader's time zone; of the day of `nowUs` if the text names none or is invalid. */
export function dayBounds(text: string | undefined, nowUs: number): DayBounds {
  const [, year, month, date] = /^(\d{4})-(\d\d)-(\d\d)$/.exec(text ?? "") ?? [];
  const asked = year === undefined ? new Date(NaN) : new Date(Number(year), Number(month) - 1, Number(date));
  const begin = asked.getTime() > 0 && named(asked) === text ? asked : new Date(nowUs / 1000);
  const at = (days: number) => new Date(begin.getFullYear(), begin.getMonth(), begin.getDate() + days);
  return { day: named(begin), before: named(at(-1)), after: named(at(1)), fromUs: at(0).getTime() * 1000, toUs: at(1).getTime() * 1000 };
}

/** Returns the full hours of a day, with the displayed hour. At a change of daylight saving time, one hour is missing or repeated. */
export function hoursOf({ fromUs, toUs }: Pick<DayBounds, "fromUs" | "toUs">): { us: number; hour: number }[] {
  const hours: { us: number; hour: number }[] = [];
  for (let us = fromUs; us < toUs; us += 3_600_000_000) hours.push({ us, hour: new Date(us / 1000).getHours() });
  return hours;
}

/** Returns the kind of a mark: the outcome of its runs, or the decision. */
export function kindOf(mark: BatchDayMark): string {
  return mark.outcome ?? mark.decision;
}

/** Returns true if its due times are in the future: `will-start` and `will-be-skipped`. */
export function isToCome({ decision }: { decision: string }): boolean {
  return decision.startsWith("will");
}

/** All kinds; those that need attention are first. */
const KINDS = ["failed", "lost", "missed", "unknown", "skipped", "cancelled", "running", "pending", "waits", "succeeded", "will-start", "will-be-skipped"] as const;

/** Returns the number of marks of each kind, in the order of `KINDS`. Kinds that this page does not know follow at the end. */
export function sums(lanes: readonly BatchLane[]): [kind: string, count: number][] {
  const found = new Map<string, number>();
  for (const mark of lanes.flatMap(({ marks }) => marks)) found.set(kindOf(mark), (found.get(kindOf(mark)) ?? 0) + mark.count);
  const place = (kind: string) => (KINDS as readonly string[]).indexOf(kind) + 1 || KINDS.length + 1;
  return [...found].sort(([a], [b]) => place(a) - place(b));
}

/** Fractions of the day from its start, 0 to 1. */
export interface Span {
  from: number;
  to: number;
}

const part = (us: number, { fromUs, toUs }: Pick<DayBounds, "fromUs" | "toUs">) => Math.min(1, Math.max(0, (us - fromUs) / (toUs - fromUs)));

/** Returns the span of a mark's due times. */
export function plannedSpan(mark: BatchDayMark, day: Pick<DayBounds, "fromUs" | "toUs">): Span {
  return { from: part(mark.due_us, day), to: part(mark.last_us, day) };
}

/** Returns the span of a mark's runs, or of its due times if there are no runs. Open runs end at `nowUs`. */
export function actualSpan(mark: BatchDayMark, day: Pick<DayBounds, "fromUs" | "toUs">, nowUs: number): Span {
  if (mark.started_us === null) return plannedSpan(mark, day);
  const end = mark.ended_us ?? (mark.outcome === "running" ? Math.max(nowUs, mark.started_us) : mark.started_us);
  return { from: part(mark.started_us, day), to: part(end, day) };
}

/** A row of the day: the name of an agent, or a task of it. */
export type DayRow = { agent: string; lane?: undefined } | { agent: string; lane: BatchLane };

export function rowsOf(lanes: readonly BatchLane[]): DayRow[] {
  return lanes.flatMap((lane, at): DayRow[] => (lanes[at - 1]?.agent === lane.agent ? [{ agent: lane.agent, lane }] : [{ agent: lane.agent }, { agent: lane.agent, lane }]));
}

/** Returns the index of the mark of a lane that is nearest to a time; -1 if there is none. */
export function nearest(lane: BatchLane, us: number): number {
  let best = -1;
  lane.marks.forEach((mark, at) => {
    const found = lane.marks[best];
    if (found === undefined || Math.abs(mark.due_us - us) < Math.abs(found.due_us - us)) best = at;
  });
  return best;
}

