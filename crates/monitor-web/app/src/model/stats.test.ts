import { expect, test } from "vitest";
import type { StatsSeries } from "../api/types.ts";
import { bucketOf } from "./histogram.ts";
import { countIn, durationsOf, firstUs, heatMap, isWithin, linesOf, share, sinceFirst, startsOf, withinOf } from "./stats.ts";

const MINUTE = 60e6;
const step = (at: number, histogram: [number, number][], failed = 0) => ({ from_us: at * MINUTE, succeeded: histogram.reduce((sum, [, count]) => sum + count, 0) - failed, failed, cancelled: 0, lost: 0, total_ns: 0, histogram });
const series: StatsSeries = { series: [step(10, [[100, 3], [104, 1]], 1), step(12, [[100, 2]])], step_us: MINUTE, from_us: 10 * MINUTE, to_us: 14 * MINUTE, as_of: 1 };

test("steps in which nothing ended are there, without a duration", () => {
  const lines = linesOf(series);
  expect(lines.times).toEqual([630, 690, 750, 810]);
  expect(lines.succeeded).toEqual([3, 0, 2, 0]);
  expect(lines.failed).toEqual([1, 0, 0, 0]);
  expect(lines.p50.map((value) => value !== null)).toEqual([true, false, true, false]);
});

test("charts begin with the first data, in whole steps, and keep a minimum width", () => {
  const hour: StatsSeries = { ...series, series: [step(52, [[100, 1]]), step(58, [[100, 1]])], from_us: 0.5 * MINUTE, to_us: 59.5 * MINUTE };
  const range = (stats: StatsSeries, least: number) => [sinceFirst(stats, least).from_us / MINUTE, sinceFirst(stats, least).to_us / MINUTE];
  expect(firstUs(hour)).toBe(52 * MINUTE);
  expect(range(hour, 3)).toEqual([52, 60]);
  expect(range(hour, 10)).toEqual([50, 60]);
  // Not before the period that was asked for.
  expect(range(hour, 100)).toEqual([0, 60]);
  expect(firstUs({ ...hour, series: [] })).toBeUndefined();
  expect(range({ ...hour, series: [] }, 10)).toEqual([0, 60]);
});

test("durations over time are counted into as many rows as there is room for", () => {
  const map = heatMap(series, 3);
  expect(map).toMatchObject({ columns: 4, rows: 3, firstBucket: 100, perRow: 2, most: 3 });
  expect([...(map?.counts ?? [])]).toEqual([3, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0]);
  expect(heatMap({ ...series, series: [] }, 9)).toBeUndefined();
  expect(heatMap(series, 40, 18)).toMatchObject({ rows: 18, firstBucket: 93, perRow: 1, most: 3 });
  expect(heatMap({ ...series, series: [step(10, [[0, 1]])] }, 40, 18)?.firstBucket).toBe(0);
});

test("a box has exactly those that were counted into it", () => {
  const map = heatMap(series, 3);
  if (!map) throw new Error("no map");
  const box = { fromColumn: 2, toColumn: 0, fromRow: 0, toRow: 0 };
  expect(countIn(map, box)).toBe(5);
  const within = withinOf(map, box);
  expect(within).toEqual({ fromUs: 10 * MINUTE, toUs: 13 * MINUTE, fromBucket: 100, toBucket: 102 });
  const [from, to] = durationsOf(within);
  const run = (endedUs: number | null, elapsed: number | null) => ({ ended_us: endedUs, elapsed_ns: elapsed });
  expect(isWithin(within, run(10 * MINUTE, Math.ceil(from)))).toBe(true);
  expect(isWithin(within, run(13 * MINUTE - 1, Math.floor(to)))).toBe(bucketOf(Math.floor(to)) < 102);
  expect(isWithin(within, run(13 * MINUTE, Math.ceil(from)))).toBe(false);
  expect(isWithin(within, run(10 * MINUTE - 1, Math.ceil(from)))).toBe(false);
  expect(isWithin(within, run(11 * MINUTE, to * 1.05))).toBe(false);
  expect(isWithin(within, run(null, 1))).toBe(false);
  const starts = startsOf({ ...within, toBucket: bucketOf(120e9) });
  expect(starts.started_before).toBe(13 * MINUTE);
  expect(starts.started_after).toBeLessThan(8.1 * MINUTE);
});

test("a few failures of a million are not none", () => {
  expect(share(32 / 1e6, "en")).toBe("< 0.1%");
  expect(share(0, "en")).toBe("0%");
  expect(share(0.0314, "en")).toBe("3.1%");
});
