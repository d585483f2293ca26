/** Prepares statistics for charts: lines over time, and a heat map of durations. Pure. */
import type { StatsSeries } from "../api/types.ts";
import { bucketOf, percentile } from "./histogram.ts";

/** Returns a share in per cent with one decimal; a small non-zero share is shown as less than the smallest value. */
export function share(part: number, locale: string): string {
  const least = 0.001;
  const format = new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 1 });
  return part > 0 && part < least ? `< ${format.format(least)}` : format.format(part);
}

/** Returns the start of the first step in which a process ended. */
export function firstUs({ series, from_us, step_us }: StatsSeries): number | undefined {
  const known = series.map((step) => step.from_us).filter((at) => at > from_us - step_us);
  return known.length === 0 ? undefined : Math.min(...known);
}

/** Limits a series to the time with data, in whole steps. It keeps `leastSteps` steps if it has them. */
export function sinceFirst(stats: StatsSeries, leastSteps: number): StatsSeries {
  const { from_us, to_us, step_us } = stats;
  const begin = Math.floor(from_us / step_us) * step_us;
  const end = begin + Math.max(1, Math.ceil((to_us - begin) / step_us)) * step_us;
  return { ...stats, from_us: Math.max(begin, Math.min(firstUs(stats) ?? begin, end - leastSteps * step_us)), to_us: end };
}

/** Data of the charts: one value per step; null for steps without ended processes. */
export interface Lines {
  /** Middle of each step in seconds, as the chart library expects. */
  times: number[];
  succeeded: number[];
  failed: number[];
  p50: (number | null)[];
  p95: (number | null)[];
}

/** Fills in the steps without ended processes, which the server omits. */
export function linesOf({ series, step_us, from_us, to_us }: StatsSeries): Lines {
  const lines: Lines = { times: [], succeeded: [], failed: [], p50: [], p95: [] };
  const byTime = new Map(series.map((step) => [step.from_us, step]));
  for (let at = Math.floor(from_us / step_us) * step_us; at < to_us; at += step_us) {
    const step = byTime.get(at);
    const histogram = (step?.histogram ?? []) as [number, number][];
    lines.times.push((at + step_us / 2) / 1e6);
    lines.succeeded.push(step?.succeeded ?? 0);
    lines.failed.push((step?.failed ?? 0) + (step?.lost ?? 0));
    lines.p50.push(percentile(histogram, 0.5) ?? null);
    lines.p95.push(percentile(histogram, 0.95) ?? null);
  }
  return lines;
}

/** Number of processes by end time and duration. Row 0 contains the shortest durations. */
export interface HeatMap {
  columns: number;
  rows: number;
  counts: Uint32Array;
  most: number;
  fromUs: number;
  stepUs: number;
  /** First bucket of durations, and number of buckets per row. */
  firstBucket: number;
  perRow: number;
}

const BASE = 1.04;

/** Counts durations over time into at most `mostRows` rows. The rows span at least `leastBuckets` buckets. */
export function heatMap({ series, step_us, from_us, to_us }: StatsSeries, mostRows: number, leastBuckets = 1): HeatMap | undefined {
  let [first, last] = [Infinity, -Infinity];
  for (const { histogram } of series) {
    for (const [bucket = 0] of histogram) {
      first = Math.min(first, bucket);
      last = Math.max(last, bucket);
    }
  }
  if (first > last) return undefined;
  const missing = Math.max(0, leastBuckets - (last - first + 1));
  first = Math.max(0, first - Math.ceil(missing / 2));
  last += Math.floor(missing / 2);
  const fromUs = Math.floor(from_us / step_us) * step_us;
  const columns = Math.max(1, Math.ceil((to_us - fromUs) / step_us));
  const perRow = Math.max(1, Math.ceil((last - first + 1) / mostRows));
  const rows = Math.ceil((last - first + 1) / perRow);
  const counts = new Uint32Array(columns * rows);
  let most = 0;
  for (const step of series) {
    const column = Math.round((step.from_us - fromUs) / step_us);
    if (column < 0 || column >= columns) continue;
    for (const [bucket = 0, count = 0] of step.histogram) {
      const at = column * rows + Math.floor((bucket - first) / perRow);
      counts[at] = (counts[at] as number) + count;
      most = Math.max(most, counts[at] as number);
    }
  }
  return { columns, rows, counts, most, fromUs, stepUs: step_us, firstBucket: first, perRow };
}

/** Part of a heat map, including its last column and row. */
export interface Box {
  fromColumn: number;
  toColumn: number;
  fromRow: number;
  toRow: number;
}

/** Range of a box: end times and duration buckets. */
export interface Within {
  fromUs: number;
  toUs: number;
  fromBucket: number;
  toBucket: number;
}

/** The corners may be in any order. */
export function withinOf({ fromUs, stepUs, firstBucket, perRow }: HeatMap, box: Box): Within {
  const [left, right] = [Math.min(box.fromColumn, box.toColumn), Math.max(box.fromColumn, box.toColumn)];
  const [low, high] = [Math.min(box.fromRow, box.toRow), Math.max(box.fromRow, box.toRow)];
  return { fromUs: fromUs + left * stepUs, toUs: fromUs + (right + 1) * stepUs, fromBucket: firstBucket + low * perRow, toBucket: firstBucket + (high + 1) * perRow };
}

/** Returns the number of processes in a box. */
export function countIn(map: HeatMap, box: Box): number {
  let count = 0;
  for (let column = Math.min(box.fromColumn, box.toColumn); column <= Math.max(box.fromColumn, box.toColumn); column += 1) {
    for (let row = Math.min(box.fromRow, box.toRow); row <= Math.max(box.fromRow, box.toRow); row += 1) count += map.counts[column * map.rows + row] ?? 0;
  }
  return count;
}

/** Returns the minimum and maximum duration in a box, in ns. */
export function durationsOf({ fromBucket, toBucket }: Within): [from: number, to: number] {
  return [BASE ** fromBucket, BASE ** toBucket];
}

/** Returns true if a process is in a box, by the buckets into which it was counted. */
export function isWithin({ fromUs, toUs, fromBucket, toBucket }: Within, { ended_us, elapsed_ns }: { ended_us: number | null; elapsed_ns: number | null }): boolean {
  if (ended_us === null || elapsed_ns === null || ended_us < fromUs || ended_us >= toUs) return false;
  const bucket = bucketOf(elapsed_ns);
  return bucket >= fromBucket && bucket < toBucket;
}

/** Returns the possible start times of the processes in a box. */
export function startsOf(within: Within): { started_after: number; started_before: number } {
  const longestUs = durationsOf(within)[1] / 1000;
  // The wall clock and the monotonic clock may differ slightly over long periods.
  return { started_after: Math.max(0, Math.floor(within.fromUs - longestUs * 1.01 - 1e6)), started_before: Math.ceil(within.toUs) };
}
