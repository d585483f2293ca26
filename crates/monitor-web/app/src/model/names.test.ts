import { expect, test } from "vitest";
import { steadyNames, usualNs } from "./names.ts";

const named = (text: string, runs = 0) => [...text].map((name) => ({ name, runs }));
const text = (of: readonly { name: string }[]) => of.map(({ name }) => name).join("");

test("names stay in their places with their newest figures; new ones wait, older ones come below", () => {
  const { names, waiting } = steadyNames([...named("xcy", 2), ...named("abef", 1)], ["a", "b", "c"]);
  expect(text(names)).toBe("abcef");
  expect(names.map(({ runs }) => runs)).toEqual([1, 1, 2, 1, 1]);
  expect(waiting).toBe(2);
});

test("who is gone leaves, and without anything shown all are", () => {
  expect(text(steadyNames(named("ac"), ["a", "b", "c"]).names)).toBe("ac");
  expect(steadyNames(named("ab"), [])).toEqual({ names: named("ab"), waiting: 0 });
  expect(steadyNames([], ["a"])).toEqual({ names: [], waiting: 0 });
});

test("the usual duration is the median of the runs that succeeded", () => {
  const run = (elapsed_ns: number | null, state = "succeeded") => ({ state, elapsed_ns });
  expect(usualNs([run(9), run(1), run(400, "failed"), run(null), run(5)])).toBe(5);
  expect(usualNs([run(9), run(1)])).toBe(1);
  expect(usualNs([run(400, "failed")])).toBeUndefined();
});
