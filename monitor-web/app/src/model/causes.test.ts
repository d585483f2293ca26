import { expect, test } from "vitest";
import { hourBefore, searchOf } from "./causes.ts";

test("the list is searched for what all messages of a kind have", () => {
  for (const [shape, expected] of [
    ["order … not found", "not found"],
    ["can't open '…', it isn't there", "', it isn't there"],
    ["boom", "boom"],
    ["exit code …\nls: cannot access '…': No such file", "ls: cannot access '"],
    ["…", ""],
  ] as const) expect(searchOf(shape), shape).toBe(expected);
});

test("a range begins with a whole hour", () => {
  expect(hourBefore(7.3 * 3.6e9, 2)).toBe(5 * 3.6e9);
});
