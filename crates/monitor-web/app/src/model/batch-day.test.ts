import { expect, test } from "vitest";
import type { BatchDayMark, BatchLane } from "../api/types.ts";
import { actualSpan, dayBounds, hoursOf, kindOf, nearest, plannedSpan, rowsOf, sums } from "./batch-day.ts";

const HOUR = 3_600_000_000;
const day = { fromUs: 100 * HOUR, toUs: 124 * HOUR };

const mark = (rest: Partial<BatchDayMark>): BatchDayMark => ({ due_us: 106 * HOUR, last_us: 106 * HOUR, count: 1, decision: "started", reason: "time", outcome: "succeeded", started_us: 106 * HOUR, ended_us: 112 * HOUR, run: "gold@x.1", root_id: null, ...rest });
const lane = (agent: string, task: string, marks: BatchDayMark[]): BatchLane => ({ agent, task, marks });

test("a day begins and ends with the reader's clock, and what is none is today", () => {
  const now = new Date(2026, 10, 22, 15, 30).getTime() * 1000;
  const { day: today, before, after, fromUs, toUs } = dayBounds(undefined, now);
  expect([today, before, after]).toEqual(["2026-11-22", "2026-11-21", "2026-11-23"]);
  expect([fromUs, toUs]).toEqual([new Date(2026, 10, 22).getTime() * 1000, new Date(2026, 10, 23).getTime() * 1000]);
  expect(dayBounds("2026-03-01", now)).toMatchObject({ day: "2026-03-01", before: "2026-02-28", after: "2026-03-02" });
  for (const wrong of ["", "2026-02-30", "2026-13-01", "yesterday", "0001-01-01", "2026-11-22T10:00"]) expect(dayBounds(wrong, now).day, wrong).toBe("2026-11-22");
});

test("a day has the hours that the clock shows", () => {
  expect(hoursOf(dayBounds("2026-11-22", 0)).map(({ hour }) => hour)).toEqual(Array.from({ length: 24 }, (_, hour) => hour));
  expect(hoursOf({ fromUs: 0, toUs: 25 * HOUR })).toHaveLength(25);
  expect(hoursOf({ fromUs: 0, toUs: 23 * HOUR })).toHaveLength(23);
});

test("a mark stands where it was due and where it ran, and what runs grows until now", () => {
  expect(plannedSpan(mark({ due_us: 103 * HOUR, last_us: 106 * HOUR }), day)).toEqual({ from: 0.125, to: 0.25 });
  expect(actualSpan(mark({}), day, 0)).toEqual({ from: 0.25, to: 0.5 });
  const running = mark({ outcome: "running", ended_us: null });
  expect(actualSpan(running, day, 109 * HOUR)).toEqual({ from: 0.25, to: 0.375 });
  expect(actualSpan(running, day, 200 * HOUR)).toEqual({ from: 0.25, to: 1 });
  // The page's clock is behind the agent's.
  expect(actualSpan(running, day, 0)).toEqual({ from: 0.25, to: 0.25 });
  expect(actualSpan(mark({ started_us: 90 * HOUR, ended_us: 103 * HOUR }), day, 0)).toEqual({ from: 0, to: 0.125 });
  expect(actualSpan(mark({ outcome: "lost", ended_us: null }), day, 200 * HOUR)).toEqual({ from: 0.25, to: 0.25 });
  expect(actualSpan(mark({ outcome: null, started_us: null, decision: "missed" }), day, 0)).toEqual({ from: 0.25, to: 0.25 });
});

test("what became of due times is counted by kind, what needs somebody first", () => {
  const missed = mark({ outcome: null, decision: "missed", count: 3 });
  expect(kindOf(missed)).toBe("missed");
  const lanes = [lane("a", "gold", [mark({ count: 7 }), missed, mark({ outcome: "strange" })]), lane("b", "tin", [mark({ outcome: "failed" }), missed])];
  expect(sums(lanes)).toEqual([["failed", 1], ["missed", 6], ["succeeded", 7], ["strange", 1]]);
  expect(sums([])).toEqual([]);
});

test("each agent has its name above its tasks", () => {
  const lanes = [lane("a", "gold", []), lane("a", "tin", []), lane("b", "gold", [])];
  expect(rowsOf(lanes).map((row) => `${row.agent} ${row.lane?.task ?? "-"}`)).toEqual(["a -", "a gold", "a tin", "b -", "b gold"]);
});

test("the nearest mark of another task is found by its time", () => {
  const marks = [1, 5, 9].map((hour) => mark({ due_us: hour * HOUR }));
  expect([0, 4, 6, 8, 99].map((hour) => nearest(lane("a", "gold", marks), hour * HOUR))).toEqual([0, 1, 1, 2, 2]);
  expect(nearest(lane("a", "gold", []), 0)).toBe(-1);
});
