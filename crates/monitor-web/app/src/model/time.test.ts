import { expect, test } from "vitest";
import { absolute, ago, duration, elapsed, elapsedAtLeast, nextReading, splitUnit, step } from "./time.ts";

test("less than nothing is shown as nothing", () => {
  expect(duration(-5)).toBe("0\u2009ns");
});

test("units are the same in every language", () => {
  const texts = [12_340, 412e6, 41.2e9, 760e9, 11_100e9, 183_600e9].map((time) => duration(time, "zh").replaceAll("\u2009", " "));
  expect(texts).toEqual(["12.3 μs", "412 ms", "41.2 s", "12 m 40 s", "3 h 05 m", "2 d 03 h"]);
});

test("what something is counted for is told in words, without a one", () => {
  const texts = [60e9, 900e9, 3600e9, 86_400e9, 90e9, 250e6].map((time) => step(time).replaceAll("\u2009", " "));
  expect(texts).toEqual(["minute", "15 minutes", "hour", "day", "90 seconds", "250 ms"]);
  expect([60e9, 900e9].map((time) => step(time, "zh"))).toEqual(["分钟", "15分钟"]);
});

test("a duration is split at its last unit", () => {
  expect(splitUnit(duration(760e9))).toEqual(["12\u2009m 40", "s"]);
});

const process = { state: "running", started_us: 1_000_000, ended_us: null, elapsed_ns: null };

test("what is measured counts; what runs has taken until now", () => {
  expect(elapsed(process, 3_000_000)).toBe(2e9);
  expect(elapsed(process, 500_000)).toBe(0);
  expect(elapsed({ ...process, state: "succeeded", ended_us: 1_500_000 }, 9_000_000)).toBe(5e8);
  expect(elapsed({ ...process, state: "succeeded", ended_us: 1_500_000, elapsed_ns: 7 }, 9_000_000)).toBe(7);
  expect(elapsed({ ...process, state: "lost" }, 9_000_000)).toBeNull();
  expect(elapsed({ ...process, started_us: null }, 9_000_000)).toBeNull();
});

test("relative times take the largest unit that fits", () => {
  const now = 1e15;
  expect(ago(now - 5e6, now, "en")).toBe("5s ago");
  expect(ago(now - 150e6, now, "en")).toBe("2m ago");
  expect(ago(now - 2 * 86_400e6, now, "en")).toBe("2d ago");
});

test("absolute times keep their microseconds, also before 1970", () => {
  expect(absolute(1_763_647_331_123_456, "UTC")).toBe("2025-11-20 14:02:11.123456");
  expect(absolute(-1, "UTC")).toBe("1969-12-31 23:59:59.999999");
  expect(absolute(0, "Asia/Shanghai")).toBe("1970-01-01 08:00:00.000000");
});

test("of what is lost or waits as much is told as is known", () => {
  const lost = { state: "lost", started_us: 10, ended_us: null, elapsed_ns: null };
  expect(elapsedAtLeast(lost, { last_seen_us: 30 }, 99)).toBe(20_000);
  expect(elapsedAtLeast(lost, { last_seen_us: 0 }, 99)).toBe(null);
  expect(elapsedAtLeast(lost, undefined, 99)).toBe(null);
  expect(elapsedAtLeast({ ...lost, elapsed_ns: 7 }, { last_seen_us: 30 }, 99)).toBe(7);
  const waits = { state: "pending", started_us: null, begun_us: 40, ended_us: null, elapsed_ns: null };
  expect(elapsedAtLeast(waits, undefined, 99)).toBe(59_000);
  expect(elapsedAtLeast({ ...waits, state: "running", started_us: 90 }, undefined, 99)).toBe(9000);
});

test("what changes at a time is read twice after it, and then no more", () => {
  const [early, late] = [60_000, 100_000];
  const times = [late * 1000, null, undefined, early * 1000];
  const readings: number[] = [];
  for (let next = nextReading(times, 0); next !== undefined; next = nextReading(times, next)) readings.push(next);
  expect(readings).toEqual([early + 500, early + 10_000, late + 500, late + 10_000]);
  expect(nextReading([], 0)).toBeUndefined();
});
