import { expect, test } from "vitest";
import { countTicks, durationRange, durationTicks, rulerStep, tickTime, timeTicks } from "./axes.ts";

const SECOND_US = 1e6;
const HOUR_US = 3600 * SECOND_US;
const utc = () => 0;

test("counts have whole labels up to the largest", () => {
  expect([0, 1, 2, 5, 20, 21, 1234].map(countTicks)).toEqual([
    [0, 1, 2],
    [0, 1, 2],
    [0, 1, 2],
    [0, 2, 4, 6],
    [0, 5, 10, 15, 20],
    [0, 10, 20, 30],
    [0, 500, 1000, 1500],
  ]);
  for (let most = 0; most < 2000; most += 1) {
    const ticks = countTicks(most);
    expect(ticks.length, `${most}`).toBeGreaterThanOrEqual(3);
    expect(ticks.length, `${most}`).toBeLessThanOrEqual(5);
    expect(ticks.at(-1), `${most}`).toBeGreaterThanOrEqual(most);
  }
});

test("durations have at least three different labels within the axis, wherever it begins and however long it is", () => {
  expect(durationTicks(3e6, 1.2e9)).toEqual([5e6, 20e6, 100e6, 500e6]);
  expect(durationTicks(70e6, 150e6)).toEqual([80e6, 100e6, 120e6, 140e6]);
  for (const ratio of [2, 2.3, 3, 7, 50, 1e3, 1e6, 1e10]) {
    for (let from = 10; from < 1e13; from *= 1.37) {
      const ticks = durationTicks(from, from * ratio);
      expect(new Set(ticks).size, `${from} × ${ratio}`).toBeGreaterThanOrEqual(3);
      expect(ticks.length, `${from} × ${ratio}`).toBeLessThanOrEqual(8);
      expect(Math.min(...ticks)).toBeGreaterThanOrEqual(from);
      expect(Math.max(...ticks)).toBeLessThanOrEqual(from * ratio);
    }
  }
});

test("an axis of equal durations is long enough for labels", () => {
  const [from, to] = durationRange([null, 5e6, 5e6]);
  expect(to / from).toBeCloseTo(2);
  expect(Math.sqrt(from * to)).toBeCloseTo(5e6);
  expect(durationRange([1e6, null, 1e9])).toEqual([1e6 / 1.1, 1e9 * 1.1]);
  expect(durationRange([null])).toEqual([1e6, 1e9]);
});

test("times have 3 to 6 labels for every length", () => {
  expect(timeTicks(0, 12 * 60 * SECOND_US, utc).map((time) => tickTime(time, "UTC"))).toEqual(["01-01", "00:03", "00:06", "00:09", "00:12"]);
  for (let seconds = 3; seconds < 400 * 86_400; seconds = Math.ceil(seconds * 1.07)) {
    for (const begin of [0, 17, 86_399]) {
      const ticks = timeTicks(begin * SECOND_US, (begin + seconds) * SECOND_US, utc);
      expect(ticks.length, `${seconds} s`).toBeGreaterThanOrEqual(3);
      expect(ticks.length, `${seconds} s`).toBeLessThanOrEqual(6);
      expect(ticks[0]).toBeGreaterThanOrEqual(begin * SECOND_US);
      expect(ticks.at(-1)).toBeLessThanOrEqual((begin + seconds) * SECOND_US);
    }
  }
});

test("times are whole hours and days of the local clock, also across its change", () => {
  // Europe/Berlin, 29 March 2026: 02:00 is followed by 03:00 at 01:00 UTC.
  const change = Date.UTC(2026, 2, 29, 1) * 1000;
  const berlin = (timeUs: number) => (timeUs < change ? 1 : 2) * HOUR_US;
  const texts = (from: number, to: number) => timeTicks(from, to, berlin).map((time) => tickTime(time, "Europe/Berlin"));
  expect(texts(change - 14 * HOUR_US, change + 15 * HOUR_US)).toEqual(["12:00", "18:00", "03-29", "06:00", "12:00", "18:00"]);
  expect(texts(change - 60 * HOUR_US, change + 60 * HOUR_US)).toEqual(["03-27", "03-28", "03-29", "03-30", "03-31"]);
});

test("a labelled time shows seconds only if it has any", () => {
  expect([0, 3600, 3610].map((seconds) => tickTime(seconds * SECOND_US, "UTC"))).toEqual(["01-01", "01:00", "01:00:10"]);
});

test("a ruler has round steps", () => {
  expect([rulerStep(1000, 10), rulerStep(1001, 10), rulerStep(7e6, 10), rulerStep(3, 10)]).toEqual([100, 200, 1e6, 0.5]);
});
