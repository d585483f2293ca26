import { expect, test } from "vitest";
import { bins, bucketOf, histogramOf, percentile, spread } from "./histogram.ts";

test("a bucket holds what lies between two powers of 1.04", () => {
  for (const index of [0, 1, 176, 546, 800]) {
    const from = Math.pow(1.04, index);
    expect(bucketOf(from * 1.001)).toBe(index);
    expect(bucketOf(from * 1.039)).toBe(index);
  }
  expect(bucketOf(0)).toBe(0);
});

test("percentiles are exact to a bucket's width", () => {
  const durations = Array.from({ length: 1000 }, (_, index) => (index + 1) * 1e6);
  const { histogram } = histogramOf(durations);
  for (const part of [0.01, 0.5, 0.95, 0.99, 1]) {
    const found = percentile(histogram, part) ?? 0;
    expect(Math.abs(found / (part * 1e9) - 1)).toBeLessThan(0.04);
  }
  expect(percentile([], 0.5)).toBeUndefined();
});

test("what is known exactly bounds what is not", () => {
  const of = spread([[176, 1200], [546, 40]], { total: 31e9, min: 1000, max: 2e9 });
  expect(of).toMatchObject({ count: 1240, total: 31e9, min: 1000, max: 2e9, p50: expect.closeTo(1014, -1) as number });
  expect(of?.p99).toBeLessThanOrEqual(2e9);
  expect(of?.p99).toBeGreaterThan(1.9e9);
  expect(spread([], { total: 0, min: null, max: null })).toBeUndefined();
});

test("bins cover all buckets and lose none", () => {
  const made = bins([[176, 1200], [300, 1], [546, 40]], 40);
  expect(made.length).toBeLessThanOrEqual(40);
  expect(made.reduce((sum, { count }) => sum + count, 0)).toBe(1241);
  expect(made[0]?.count).toBe(1200);
  expect(bins([], 10)).toEqual([]);
});
