import { expect, test } from "vitest";
import { TallScroll } from "./tall.ts";

const ROW = 28;
const ROOM = 700;

/** A scroller for a million rows. */
function million(): TallScroll {
  const scroll = new TallScroll(1);
  scroll.resize(1_000_000 * ROW, ROOM);
  return scroll;
}

test("what is not too high scrolls as it is", () => {
  const scroll = new TallScroll(1);
  scroll.resize(200_000 * ROW, ROOM);
  expect(scroll.height).toBe(5_600_000);
  scroll.scrolled(3_000_000);
  expect([scroll.top, scroll.shift]).toEqual([3_000_000, 0]);
  expect(scroll.goTo(1_000_000)).toBe(1_000_000);
  const sharp = new TallScroll(4);
  sharp.resize(200_000 * ROW, ROOM);
  expect(sharp.height).toBe(2_000_000);
});

test("an element of a safe height reaches the first, the last and any row between", () => {
  const scroll = million();
  expect(scroll.height).toBeLessThan(17_000_000);
  for (const row of [0, 1, 35_714, 35_715, 500_000, 999_000, 999_999]) {
    const to = scroll.goTo(row * ROW);
    expect(to).toBeGreaterThanOrEqual(0);
    expect(to).toBeLessThanOrEqual(scroll.height - ROOM);
    expect(scroll.top).toBeCloseTo(Math.min(row * ROW, 1_000_000 * ROW - ROOM), 6);
    // The browser rounds to whole pixels.
    expect(to).toBe(Math.round(to));
    scroll.scrolled(to);
    expect(scroll.top).toBeCloseTo(Math.min(row * ROW, 1_000_000 * ROW - ROOM), 6);
  }
});

test("wheeling moves the content by as many pixels, wherever it is", () => {
  const scroll = million();
  for (const row of [10, 100_000, 500_000, 900_000]) {
    let at = scroll.goTo(row * ROW);
    const before = scroll.top;
    for (let turn = 1; turn <= 50; turn += 1) {
      at += 100;
      scroll.scrolled(at);
      expect(scroll.top).toBeCloseTo(before + turn * 100, 6);
    }
    // When scrolling ends, the element moves to its exact position; the content stays.
    const rest = scroll.goTo(scroll.top);
    expect(scroll.top).toBeCloseTo(before + 5_000, 6);
    scroll.scrolled(rest);
    expect(scroll.top).toBeCloseTo(before + 5_000, 6);
  }
});

test("the thumb goes to the part of the content that it stands for, down to both ends", () => {
  const scroll = million();
  scroll.scrolled((scroll.height - ROOM) / 2);
  expect(Math.abs(scroll.top - (1_000_000 * ROW - ROOM) / 2)).toBeLessThan(1);
  scroll.scrolled(scroll.height - ROOM);
  expect(scroll.top).toBe(1_000_000 * ROW - ROOM);
  scroll.scrolled(0);
  expect(scroll.top).toBe(0);
});

test("what grows or shrinks keeps what is at the top of the view, if it is still there", () => {
  const scroll = million();
  scroll.goTo(20_000_000);
  scroll.resize(1_000_100 * ROW, ROOM);
  expect(scroll.top).toBe(20_000_000);
  scroll.resize(500_000 * ROW, ROOM);
  expect(scroll.top).toBe(500_000 * ROW - ROOM);
  scroll.resize(100 * ROW, ROOM);
  expect(scroll.shift).toBe(0);
});
