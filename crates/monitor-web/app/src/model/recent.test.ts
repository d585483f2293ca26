import { expect, test } from "vitest";
import { Recent } from "./recent.ts";

/** Uses all keys in one round; returns the number of values that had to be created. */
function use(recent: Recent<string>, keys: readonly number[]): number {
  recent.begin();
  let made = 0;
  for (const key of keys) {
    if (recent.get(`${key}`) !== undefined) continue;
    recent.set(`${key}`, `value ${key}`);
    made += 1;
  }
  return made;
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index);

test("what is in use is never made twice, be it more than there is room for", () => {
  const recent = new Recent<string>(10, () => undefined);
  expect(use(recent, range(0, 50))).toBe(50);
  for (let round = 0; round < 5; round += 1) expect(use(recent, range(0, 50))).toBe(0);
  expect(recent.size).toBe(50);
});

test("what is no longer in use goes as soon as there are too many", () => {
  const dropped: string[] = [];
  const recent = new Recent<string>(10, (value) => dropped.push(value));
  use(recent, range(0, 8));
  use(recent, range(4, 12));
  expect(dropped).toEqual([]);
  use(recent, range(4, 12));
  expect(dropped).toEqual(["value 0", "value 1", "value 2", "value 3"]);
  recent.clear();
  expect([recent.size, dropped.length]).toEqual([0, 12]);
});
