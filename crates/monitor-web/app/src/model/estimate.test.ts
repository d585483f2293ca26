import { expect, test } from "vitest";
import { estimate } from "./estimate.ts";

const running = { state: "running", started_us: 1_000_000 };
const second = 1e9;

test("what a process says of itself counts before its history", () => {
  expect(estimate({ ...running, progress: { done: 1, total: 4 }, expected_ns: second }, 3_000_000)).toMatchObject({ part: 0.25, leftNs: 6 * second, from: "progress", times: 2 });
});

test("without progress those of its name tell, and by how much it is over", () => {
  expect(estimate({ ...running, expected_ns: 4 * second, expected_p95_ns: 9 * second }, 2_000_000)).toEqual({ part: 0.25, leftNs: 3 * second, from: "history", p50: 4 * second, p95: 9 * second, times: 0.25 });
  expect(estimate({ ...running, expected_ns: second }, 4_000_000)).toMatchObject({ part: 1, leftNs: -2 * second, times: 3 });
});

test("nothing is made up", () => {
  expect(estimate(running, 2_000_000)).toBeUndefined();
  expect(estimate({ ...running, expected_ns: 0 }, 2_000_000)).toBeUndefined();
  expect(estimate({ ...running, started_us: null, expected_ns: 5 }, 2_000_000)).toBeUndefined();
  expect(estimate({ ...running, state: "failed", expected_ns: 5 }, 2_000_000)).toBeUndefined();
  expect(estimate({ ...running, progress: { done: 0, total: 9 } }, 2_000_000)).toMatchObject({ part: 0, leftNs: null });
  expect(estimate({ ...running, progress: { done: 5, total: null } }, 2_000_000)).toBeUndefined();
  expect(estimate({ ...running, progress: { done: 12, total: 9 } }, 2_000_000)).toMatchObject({ part: 1, leftNs: 0 });
});
