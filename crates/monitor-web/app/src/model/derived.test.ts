import { expect, test } from "vitest";
import { Derived } from "./derived.ts";

test("a value that takes long is made anew only now and then, but at once when its settings change", () => {
  let nowMs = 0;
  let made = 0;
  const waits: number[] = [];
  const derived = new Derived<number>((ms) => waits.push(ms), () => nowMs);
  const get = (settings: string, version: number) =>
    derived.get(settings, version, () => {
      nowMs += 10;
      made += 1;
      return made;
    });
  expect([get("a", 1), get("a", 1), get("a", 2)]).toEqual([1, 1, 1]);
  expect(waits).toEqual([80]);
  expect(get("b", 2)).toBe(2);
  nowMs += 80;
  expect([get("b", 3), get("b", 3)]).toEqual([3, 3]);
  expect(waits).toEqual([80]);
});
