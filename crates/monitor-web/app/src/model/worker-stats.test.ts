import { expect, test } from "vitest";
import { readStats } from "./worker-stats.ts";

test("pool, limits and queues are read apart from the other figures", () => {
  const stats = readStats({
    pool: { size: 8, busy: 3, min: 2, max: 16, paused: true, paused_until_us: 7 },
    limits: [{ name: "render", rate: "10/s", soft_ms: null, hard_ms: 5000, until_us: 9 }],
    queues: ["video", { name: "mail" }],
    threads: 7,
    files: null,
  });
  expect(stats.pool).toEqual({ size: 8, busy: 3, min: 2, max: 16, isPaused: true, untilUs: undefined, pausedUntilUs: 7 });
  expect(stats.limits).toEqual([{ name: "render", rate: "10/s", softMs: undefined, hardMs: 5000, untilUs: 9 }]);
  expect(stats.queues).toEqual(["video", "mail"]);
  expect(stats.figures).toEqual([["threads", 7]]);
});

test("whatever a program answers, it can be shown", () => {
  for (const value of [null, undefined, 7, "x", [], { pool: 7, limits: "x", queues: {} }, { pool: {}, limits: [7, null] }]) {
    const { pool, limits, queues } = readStats(value);
    expect({ pool, limits, queues }).toEqual({ pool: undefined, limits: [], queues: [] });
  }
});
