/** Labelled values of chart axes. Pure, except for the browser's time zone, which is the default of `timeTicks`. */
import { absolute } from "./time.ts";

const SECOND_US = 1e6;
const DAY_S = 86_400;
const LEAST_LABELS = 3;

/** Returns the labelled counts from 0 up to at least `most`: 3 to 5 whole numbers. The last one is the end of the axis. */
export function countTicks(most: number): number[] {
  const step = Math.max(1, rulerStep(most, 4));
  return Array.from({ length: Math.max(2, Math.ceil(most / step)) + 1 }, (_, index) => index * step);
}

/** Durations in ns that a logarithmic axis labels: 1, 2 and 5 times powers of ten up to a second, then common fractions of an hour and a day. */
const DURATIONS: readonly number[] = [
  ...Array.from({ length: 9 }, (_, power) => [1, 2, 5].map((digit) => digit * 10 ** power)).flat(),
  ...[1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 21_600, 43_200].map((seconds) => seconds * 1e9),
  ...[1, 2, 5, 10, 20, 50, 100].map((days) => days * DAY_S * 1e9),
];

/** Ratio of an axis of durations below which labels would not differ. */
const LEAST_RATIO = 2;

/** Returns the ends of a logarithmic axis for durations: with some space, and at least a factor of two apart. */
export function durationRange(durations: readonly (number | null)[]): [from: number, to: number] {
  const known = durations.filter((value): value is number => value !== null && value > 0);
  if (known.length === 0) return [1e6, 1e9];
  const [from, to] = [Math.min(...known) / 1.1, Math.max(...known) * 1.1];
  const missing = Math.max(1, Math.sqrt((LEAST_RATIO * from) / to));
  return [from / missing, to * missing];
}

const MOST_DURATIONS = 5;

/** Returns the labelled durations of a logarithmic axis: at least three if the ends are a factor of two apart. */
export function durationTicks(from: number, to: number): number[] {
  const all = DURATIONS.map((value, index) => ({ value, index })).filter(({ value }) => value >= from && value <= to);
  const every = Math.ceil(all.length / MOST_DURATIONS);
  if (all.length >= LEAST_LABELS) return all.filter(({ index }) => index % every === 0).map(({ value }) => value);
  // A short axis has equal steps.
  const multiples = (step: number) => Array.from({ length: Math.floor(to / step) - Math.ceil(from / step) + 1 }, (_, index) => (Math.ceil(from / step) + index) * step);
  const step = DURATIONS.findLast((each) => to - from > each && multiples(each).length >= LEAST_LABELS) ?? (to - from) / LEAST_LABELS;
  return multiples(step);
}

/** Steps between times, in seconds. Each is at most twice the previous one, so that one of them yields 3 to 6 labels. */
const TIME_STEPS: readonly number[] = [1, 2, 3, 5, 10, 15, 30, ...[1, 2, 3, 5, 10, 15, 30, 60, 120, 180, 360, 720].map((minutes) => minutes * 60), ...[1, 2, 4, 7, 14, 28, 56, 112].map((days) => days * DAY_S)];
const MOST_TIMES = 6;

const zoneOffsetUs = (timeUs: number) => new Date(timeUs / 1000).getTimezoneOffset() * -60 * SECOND_US;

/** Returns the labelled times of an axis: whole steps of the local time. */
export function timeTicks(fromUs: number, toUs: number, offsetUs: (timeUs: number) => number = zoneOffsetUs): number[] {
  const local = (timeUs: number) => timeUs + offsetUs(timeUs);
  const ticks = (seconds: number) => {
    const step = seconds * SECOND_US;
    const first = Math.ceil(local(fromUs) / step);
    return Array.from({ length: Math.max(0, Math.floor(local(toUs) / step) - first + 1) }, (_, index) => (first + index) * step);
  };
  const step = TIME_STEPS.find((seconds) => (toUs - fromUs) / (seconds * SECOND_US) < MOST_TIMES) ?? 365 * DAY_S;
  // The offset may change within the axis, so each time has its own.
  return ticks(step).map((time) => time - offsetUs(time - offsetUs(time)));
}

/** Formats a labelled time: the day at midnight, otherwise the time of day, with seconds only if it has any. */
export function tickTime(timeUs: number, zone?: string): string {
  const text = absolute(timeUs, zone);
  if (text.slice(11, 19) === "00:00:00") return text.slice(5, 10);
  return text.slice(17, 19) === "00" ? text.slice(11, 16) : text.slice(11, 19);
}

/** Returns a step for a ruler: 1, 2 or 5 times a power of ten. At most `most` steps fit into the span. */
export function rulerStep(span: number, most: number): number {
  const least = span / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(Math.max(least, 1e-3)));
  return [1, 2, 5, 10].map((each) => each * power).find((step) => step >= least) ?? 10 * power;
}
