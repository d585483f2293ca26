import { expect, test } from "vitest";
import type { Process } from "../api/types.ts";
import type { Origin } from "./columns.ts";
import { preorder } from "./rollup.ts";
import { process } from "./samples.ts";
import { criticalPath, firstBar, foldGaps, layOut, sumRange, TimeMap } from "./timeline.ts";
import { Tree } from "./tree.ts";

/** `[id, parent, from, to, thread]`, in µs; without an end it is running. */
type Line = [id: string, parent: string | null, from: number, to: number | null, rest?: Partial<Process>];

function treeOf(...lines: Line[]): Tree {
  const tree = new Tree();
  for (const [id, parent, from, to, rest] of lines) {
    const ended = to === null ? {} : { ended_us: to, elapsed_ns: (to - from) * 1000, state: "succeeded" };
    tree.put(process(id, parent, from, { ...ended, ...rest }), 1);
  }
  return tree;
}

const whole = () => ({ key: "", label: "" });
const lay = (tree: Tree, laneOf: (origin: Origin) => { key: string; label: string } = whole) => layOut(tree, preorder(tree), 0, laneOf);

/** Returns the names in each row, from left to right. */
function rows(tree: Tree, layout: ReturnType<typeof lay>): string[] {
  return [...layout.rowStarts.slice(0, -1)].map((from, row) =>
    [...layout.slots.slice(from, layout.rowStarts[row + 1])].map((slot) => tree.at(slot).name).join(" "),
  );
}

const family = () => treeOf(["root", null, 0, 100], ["a", "root", 10, 40], ["b", "root", 30, 90], ["a1", "a", 12, 20], ["c", "root", 92, 95], ["b1", "b", 50, 90]);

test("bars lie below their parents and beside each other, none over another", () => {
  const tree = family();
  expect(rows(tree, lay(tree))).toEqual(["root", "a c", "a1 b", "b1"]);
});

test("lanes have rows of their own", () => {
  const tree = treeOf(["root", null, 0, 100, { thread: "main" }], ["x", "root", 10, 40, { thread: "w" }], ["y", "root", 50, 60, { thread: "main" }]);
  const layout = lay(tree, ({ thread }) => ({ key: thread ?? "", label: thread ?? "" }));
  expect(layout.lanes).toEqual([
    { label: "main", firstRow: 0, rows: 2 },
    { label: "w", firstRow: 2, rows: 1 },
  ]);
  expect(rows(tree, layout)).toEqual(["root", "y", "x"]);
});

test("what never started has no bar, what runs has no end", () => {
  const tree = treeOf(["root", null, 0, null], ["a", "root", 10, 40]);
  tree.put(process("waiting", "root", null, { state: "pending" }), 1);
  const layout = lay(tree);
  expect(rows(tree, layout)).toEqual(["root", "a"]);
  expect(layout.ends[0]).toBe(Infinity);
});

test("the bars of a row are found by time", () => {
  const tree = treeOf(["root", null, 0, 100], ["a", "root", 10, 20], ["b", "root", 30, 40], ["c", "root", 50, 60]);
  const layout = lay(tree);
  const first = (time: number) => tree.at(layout.slots[firstBar(layout, 1, time)] as number)?.name;
  expect([first(0), first(20), first(21), first(45)]).toEqual(["a", "a", "b", "c"]);
  expect(firstBar(layout, 1, 70)).toBe(layout.rowStarts[2]);
});

test("the critical path is what the end waited for", () => {
  const tree = family();
  const told = criticalPath(tree, 0, 100).map(({ slot, fromUs, toUs }) => `${tree.at(slot).name} ${fromUs}-${toUs}`);
  expect(told).toEqual(["root 95-100", "c 92-95", "root 90-92", "b1 50-90", "b 30-50", "root 0-30"]);
});

test("gaps are folded, there and back", () => {
  const map = new TimeMap(1000, [[100, 900]], 20);
  expect(map.total).toBe(220);
  expect([0, 100, 500, 900, 1000, 1100, -5].map((time) => map.toShown(time))).toEqual([0, 100, 110, 120, 220, 320, -5]);
  for (const time of [0, 50, 100, 300, 900, 950, 1000]) expect(map.toReal(map.toShown(time))).toBeCloseTo(time);
  expect(new TimeMap(10).toShown(7)).toBe(7);
});

test("a gap is where nothing ran but the root itself", () => {
  const tree = treeOf(["root", null, 0, 1000], ["a", "root", 0, 100], ["b", "root", 800, 1000]);
  expect(foldGaps(tree, lay(tree), 1000).gaps).toEqual([[100, 800]]);
  tree.put(process("works", "root", 100, { state: "succeeded", elapsed_ns: 700_000 }), 1);
  expect(foldGaps(tree, lay(tree), 1000).gaps).toEqual([]);
  expect(foldGaps(treeOf(["alone", null, 0, 1000]), lay(treeOf(["alone", null, 0, 1000])), 1000).gaps).toEqual([]);
});

test("a range sums up the leaves in it", () => {
  const tree = treeOf(["root", null, 0, 100], ["a", "root", 0, 50], ["b", "root", 40, 100], ["b2", "root", 90, 100, { name: "b" }]);
  const sum = sumRange(tree, lay(tree), 30, 95, 100);
  expect(sum).toEqual({ count: 3, failed: 0, busyUs: 20 + 55 + 5, names: [{ name: "b", count: 2, busyUs: 60 }, { name: "a", count: 1, busyUs: 20 }] });
});

test("100,000 bars are laid out, all at once or one after the other", () => {
  for (const step of [0, 10]) {
    const tree = new Tree();
    tree.put(process("root", null, 0), 1);
    for (let index = 0; index < 100_000; index += 1) {
      tree.put(process(`p${index}`, "root", 1 + index * step, { state: "succeeded", elapsed_ns: 5000 }), 1);
    }
    expect(lay(tree).slots.length).toBe(100_001);
  }
});

test("what a clock is off by moves all that its worker did", () => {
  const tree = new Tree();
  tree.put(process("a", null, 1000, { worker_id: "w", state: "succeeded", elapsed_ns: 1e6 }), 1);
  tree.put(process("b", "a", 100, { worker_id: "x", state: "succeeded", elapsed_ns: 5e5 }), 1);
  const shifted = layOut(tree, preorder(tree), 1000, whole, ({ worker_id }) => (worker_id === "x" ? 1100 : 0));
  expect([...shifted.starts]).toEqual([0, 200]);
  expect([...shifted.ends]).toEqual([1000, 700]);
});
