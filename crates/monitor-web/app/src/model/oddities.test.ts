import { expect, test } from "vitest";
import { oddities } from "./oddities.ts";

const SECOND = 1e6;
const NOW = 1.8e15;
const of = (started: number | null, ended: number | null = null, elapsedUs: number | null = null) => ({ started_us: started, ended_us: ended, elapsed_ns: elapsedUs === null ? null : elapsedUs * 1000 });

test("what fits is not odd", () => {
  expect(oddities(of(NOW, NOW + SECOND, SECOND), of(NOW), NOW + 2 * SECOND)).toEqual([]);
  expect(oddities(of(null), undefined, NOW)).toEqual([]);
  expect(oddities(of(NOW, NOW + 100 * SECOND, 99 * SECOND), undefined, NOW + 200 * SECOND)).toEqual([]);
});

test("a clock that is off, jumped or ran backwards is told", () => {
  expect(oddities(of(0), undefined, NOW)).toEqual(["ancient"]);
  expect(oddities(of(NOW + 60 * SECOND), undefined, NOW)).toEqual(["future"]);
  expect(oddities(of(NOW, NOW - 1, SECOND), undefined, NOW)).toEqual(["backwards"]);
  expect(oddities(of(NOW, NOW + 100 * SECOND, 50 * SECOND), undefined, NOW + 200 * SECOND)).toEqual(["jumped"]);
  expect(oddities(of(NOW - SECOND), of(NOW), NOW)).toEqual(["before-parent"]);
});
