import { expect, test } from "vitest";
import { clockOffsets } from "./clocks.ts";
import { preorder } from "./rollup.ts";
import { process } from "./samples.ts";
import { Tree } from "./tree.ts";

/** Each line is `id parent worker start end`, in ms. */
function offsets(...lines: [string, string | null, string, number, number, string?][]): [string, number][] {
  const tree = new Tree();
  for (const [id, parent, worker_id, start, end, kind = "normal"] of lines) tree.put(process(id, parent, start * 1000, { kind, worker_id, ended_us: end * 1000, elapsed_ns: (end - start) * 1e6, state: "succeeded" }), 1);
  return [...clockOffsets(tree, preorder(tree))].map(([worker, us]) => [worker, us / 1000]);
}

test("work that lies within what started it tells of no offset", () => {
  expect(offsets(["a", null, "w", 0, 100], ["b", "a", "x", 10, 90])).toEqual([]);
  expect(offsets(["a", null, "w", 0, 100], ["b", "a", "w", -50, 90])).toEqual([]);
});

test("work that began before, or ended after, moves its worker's clock by the least that fits", () => {
  expect(offsets(["a", null, "w", 1000, 2000], ["b", "a", "x", 400, 900], ["c", "a", "x", 500, 700])).toEqual([["x", 600]]);
  expect(offsets(["a", null, "w", 1000, 2000], ["b", "a", "x", 5000, 5500])).toEqual([["x", -3500]]);
});

test("a task of a queue may end after the task that has sent it, but not begin before it", () => {
  expect(offsets(["a", null, "w", 1000, 2000, "task"], ["b", "a", "x", 2500, 3000, "task"])).toEqual([]);
  expect(offsets(["a", null, "w", 1000, 2000, "task"], ["b", "a", "x", 400, 900, "task"])).toEqual([["x", 600]]);
});

test("what a moved worker started elsewhere moves with it", () => {
  expect(offsets(["a", null, "w", 1000, 2000], ["b", "a", "x", 0, 900], ["c", "b", "y", 100, 800])).toEqual([
    ["x", 1000],
    ["y", 1000],
  ]);
});

test("contradictions and detached work are left alone", () => {
  expect(offsets(["a", null, "w", 1000, 2000], ["b", "a", "x", 500, 900], ["c", "a", "x", 1900, 1950])).toEqual([]);
  expect(offsets(["a", null, "w", 1000, 2000], ["b", "a", "x", 1500, 9000])).toEqual([]);
});
