import { expect, test } from "vitest";
import { readStats, rowsOf } from "./worker-stats.ts";

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

test("nested values are parts, and each of their simple values is a row", () => {
  const stats = readStats({ pool: { "max-concurrency": 2, processes: [7, 8], timeouts: [] }, broker: { ssl: null, transport_options: {} }, empty: {}, clock: "7" });
  expect(stats.pool).toBeUndefined();
  expect(stats.parts.map(([name]) => name)).toEqual(["pool", "broker"]);
  expect(stats.figures).toEqual([
    ["empty", {}],
    ["clock", "7"],
  ]);
  expect(rowsOf(stats.parts[0]?.[1])).toEqual([
    ["max-concurrency", "2"],
    ["processes", "7, 8"],
  ]);
  expect(rowsOf([{ name: "celery", exchange: { type: "direct", arguments: null } }, { durable: true }])).toEqual([
    ["celery name", "celery"],
    ["celery exchange type", "direct"],
    ["2 durable", "true"],
  ]);
  for (const value of [null, undefined, [], {}, { a: [null] }]) expect(rowsOf(value)).toEqual([]);
  expect(rowsOf(Object.fromEntries(Array.from({ length: 1000 }, (_, at) => [at, at])))).toHaveLength(500);
});

test("whatever a program answers, it can be shown", () => {
  for (const value of [null, undefined, 7, "x", [], { pool: 7, limits: "x", queues: {} }, { pool: {}, limits: [7, null] }]) {
    const { pool, limits, queues } = readStats(value);
    expect({ pool, limits, queues }).toEqual({ pool: undefined, limits: [], queues: [] });
  }
});
