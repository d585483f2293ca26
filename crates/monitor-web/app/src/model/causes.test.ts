import { expect, test } from "vitest";
import { commonest, hourBefore, searchOf } from "./causes.ts";

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

test("the commonest causes have the lines, and the newest of the new ones has the last if no other is new", () => {
  const cause = (count: number, isNew = false) => ({ count, new: isNew });
  const [rare, common, newest, older, usual] = [cause(1), cause(218), cause(2, true), cause(1, true), cause(50)];
  const byLast = [rare, newest, common, older, usual];
  expect(commonest(byLast, 3)).toEqual([common, usual, newest]);
  expect(commonest([rare, common, cause(90), usual, older], 3)).toEqual([common, cause(90), older]);
  expect(commonest([rare, common], 3)).toEqual([common, rare]);
  expect(commonest(byLast, 0)).toEqual([]);
  expect(commonest([], 3)).toEqual([]);
});
