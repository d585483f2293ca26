import { expect, test } from "vitest";
import type { Root } from "../api/types.ts";
import type { Dated } from "../live/messages.ts";
import { countHeld, mergeRoots } from "./roots.ts";
import { root } from "./samples.ts";

const NONE = new Set<string>();

function live(...roots: [Root, number][]): Map<string, Dated<Root>> {
  return new Map(roots.map(([model, asOf]) => [model.root_id, { model, asOf }]));
}

function numbers(roots: Root[]): number[] {
  return roots.map(({ number }) => number);
}

const page = { roots: [root(9), root(8)], before: null, after: "8", index: 0, as_of: 100 };

test("new roots come first, in the order of their starts", () => {
  expect(numbers(mergeRoots([page], live([root(11), 101], [root(10), 102]), {}, NONE))).toEqual([11, 10, 9, 8]);
});

test("what comes late stands where it began", () => {
  const late = live([root(12, { started_us: 8500 }), 101], [root(13, { started_us: null, begun_us: 9500 }), 102], [root(14, { started_us: 10 }), 103]);
  expect(numbers(mergeRoots([page], late, {}, NONE))).toEqual([13, 9, 12, 8]);
});

test("what is older than the last page read comes with its own page", () => {
  const changed = live([root(3), 101]);
  expect(numbers(mergeRoots([page], changed, {}, NONE))).toEqual([9, 8]);
  expect(numbers(mergeRoots([{ ...page, after: null }], changed, {}, NONE))).toEqual([9, 8, 3]);
});

test("what stands before the first page that is there comes with its own page, too", () => {
  expect(numbers(mergeRoots([{ ...page, before: "9" }], live([root(10), 101]), {}, NONE))).toEqual([9, 8]);
});

test("the oldest come first if that is wanted, and new ones at the end once it is there", () => {
  const oldest = { roots: [root(1), root(2)], before: null, after: "2", index: 0, as_of: 100 };
  const fresh = live([root(3), 101]);
  expect(numbers(mergeRoots([oldest], fresh, { sort: "oldest" }, NONE))).toEqual([1, 2]);
  expect(numbers(mergeRoots([{ ...oldest, after: null }], fresh, { sort: "oldest" }, NONE))).toEqual([1, 2, 3]);
});

test("the newer of two versions stands, wherever it came from", () => {
  const states = (asOf: number) =>
    mergeRoots([page], live([root(9, { state: "failed" }), asOf]), {}, NONE).map(({ state }) => state);
  expect(states(101)).toEqual(["failed", "running"]);
  expect(states(99)).toEqual(["running", "running"]);
});

test("what no longer passes the filter leaves the list", () => {
  const ended = live([root(9, { state: "succeeded" }), 101]);
  expect(numbers(mergeRoots([page], ended, { state: "running" }, NONE))).toEqual([8]);
});

test("what is no longer kept leaves the list, whenever the page was read", () => {
  expect(numbers(mergeRoots([page], live([root(10), 99]), {}, NONE, new Set([9])))).toEqual([10, 8]);
});

test("held roots wait and are counted, if they pass the filters", () => {
  const fresh = live([root(11), 101], [root(12, { name: "other" }), 102]);
  const held = new Set(fresh.keys());
  expect(numbers(mergeRoots([page], fresh, {}, held))).toEqual([9, 8]);
  expect(countHeld(fresh, {}, held)).toBe(2);
  expect(countHeld(fresh, { name: "other" }, held)).toBe(1);
});
