/** A day of batch tasks: what stands where, and what it is called. Times are Unix microseconds. */
import type { BatchDayMark, BatchLane } from "../api/types.ts";

export interface DayBounds {
  /** `2026-11-22`, on the reader's clock. */
  day: string;
  before: string;
  after: string;
  fromUs: number;
  /** 23 to 25 hours later, as the clock has it. */
  toUs: number;
}

const two = (number: number) => String(number).padStart(2, "0");
const named = (date: Date) => `${String(date.getFullYear()).padStart(4, "0")}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;

/** A day on the reader's clock; the one of `nowUs` if none is named, or none that there is. */
export function dayBounds(text: string | undefined, nowUs: number): DayBounds {
  const [, year, month, date] = /^(\d{4})-(\d\d)-(\d\d)$/.exec(text ?? "") ?? [];
  const asked = year === undefined ? new Date(NaN) : new Date(Number(year), Number(month) - 1, Number(date));
  const begin = asked.getTime() > 0 && named(asked) === text ? asked : new Date(nowUs / 1000);
  const at = (days: number) => new Date(begin.getFullYear(), begin.getMonth(), begin.getDate() + days);
  return { day: named(begin), before: named(at(-1)), after: named(at(1)), fromUs: at(0).getTime() * 1000, toUs: at(1).getTime() * 1000 };
}

/** The full hours of a day, each with what the clock shows: where the clock is changed one of them is missing, or there twice. */
export function hoursOf({ fromUs, toUs }: Pick<DayBounds, "fromUs" | "toUs">): { us: number; hour: number }[] {
  const hours: { us: number; hour: number }[] = [];
  for (let us = fromUs; us < toUs; us += 3_600_000_000) hours.push({ us, hour: new Date(us / 1000).getHours() });
  return hours;
}

/** What a mark is: the outcome of runs, or the decision. */
export function kindOf(mark: BatchDayMark): string {
  return mark.outcome ?? mark.decision;
}

/** Whether its due times are still to come: `will-start` and `will-be-skipped`. */
export function isToCome({ decision }: { decision: string }): boolean {
  return decision.startsWith("will");
}

/** All kinds, what needs somebody first. */
const KINDS = ["failed", "lost", "missed", "unknown", "skipped", "cancelled", "running", "pending", "waits", "succeeded", "will-start", "will-be-skipped"] as const;

/** How many of each kind there are, in the order of `KINDS`; kinds that this page does not know stand at the end. */
export function sums(lanes: readonly BatchLane[]): [kind: string, count: number][] {
  const found = new Map<string, number>();
  for (const mark of lanes.flatMap(({ marks }) => marks)) found.set(kindOf(mark), (found.get(kindOf(mark)) ?? 0) + mark.count);
  const place = (kind: string) => (KINDS as readonly string[]).indexOf(kind) + 1 || KINDS.length + 1;
  return [...found].sort(([a], [b]) => place(a) - place(b));
}

/** Parts of the day from its beginning, 0 to 1. */
export interface Span {
  from: number;
  to: number;
}

const part = (us: number, { fromUs, toUs }: Pick<DayBounds, "fromUs" | "toUs">) => Math.min(1, Math.max(0, (us - fromUs) / (toUs - fromUs)));

/** Where the due times of a mark stand. */
export function plannedSpan(mark: BatchDayMark, day: Pick<DayBounds, "fromUs" | "toUs">): Span {
  return { from: part(mark.due_us, day), to: part(mark.last_us, day) };
}

/** Where its runs stand, or its due times if there are none. What runs ends now. */
export function actualSpan(mark: BatchDayMark, day: Pick<DayBounds, "fromUs" | "toUs">, nowUs: number): Span {
  if (mark.started_us === null) return plannedSpan(mark, day);
  const end = mark.ended_us ?? (mark.outcome === "running" ? Math.max(nowUs, mark.started_us) : mark.started_us);
  return { from: part(mark.started_us, day), to: part(end, day) };
}

/** A row of the day: an agent's name, or one of its tasks. */
export type DayRow = { agent: string; lane?: undefined } | { agent: string; lane: BatchLane };

export function rowsOf(lanes: readonly BatchLane[]): DayRow[] {
  return lanes.flatMap((lane, at): DayRow[] => (lanes[at - 1]?.agent === lane.agent ? [{ agent: lane.agent, lane }] : [{ agent: lane.agent }, { agent: lane.agent, lane }]));
}

/** The mark of a lane that is nearest to a time; -1 if there is none. */
export function nearest(lane: BatchLane, us: number): number {
  let best = -1;
  lane.marks.forEach((mark, at) => {
    const found = lane.marks[best];
    if (found === undefined || Math.abs(mark.due_us - us) < Math.abs(found.due_us - us)) best = at;
  });
  return best;
}

