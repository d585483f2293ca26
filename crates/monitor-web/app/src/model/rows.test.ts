import { expect, test } from "vitest";
import type { Process } from "../api/types.ts";
import { find } from "./filter.ts";
import { preorder, Rollup } from "./rollup.ts";
import { comfortableDepth, finished, Folding, type Rows, visibleRows } from "./rows.ts";
import { process } from "./samples.ts";
import { Tree } from "./tree.ts";

function treeOf(...processes: Process[]): Tree {
  const tree = new Tree();
  processes.forEach((each, index) => tree.put(each, index + 1));
  return tree;
}

/** Returns rows as `a`, ` b`, ` b×3`: one space per level. */
function lines(tree: Tree, rows: Rows): string[] {
  return [...rows.slots].map((slot, row) => {
    const group = slot < 0 ? rows.groups[-1 - slot] : undefined;
    const name = tree.at(group ? (group.members[0] as number) : slot).name;
    return " ".repeat(rows.levels[row] ?? 0) + name + (group ? `×${group.members.length}` : "");
  });
}

const done = { state: "succeeded" };
const rollupOf = (tree: Tree) => new Rollup(tree, preorder(tree));

function crowd(): Tree {
  return treeOf(
    process("root", null, 0),
    process("a1", "root", 1, { ...done, name: "a" }),
    process("b1", "root", 2, { ...done, name: "b" }),
    process("a2", "root", 3, { ...done, name: "a" }),
    process("a3", "root", 4, { name: "a" }),
    process("a4", "root", 5, { name: "a", state: "failed" }),
    process("a5", "root", 6, { ...done, name: "a" }),
    process("deep", "a5", 7, { state: "lost" }),
  );
}

test("what is below is counted by state, folds as what they stand for", () => {
  const fold = { count: 10, running: 1, failed: 2, cancelled: 3, total_ns: 5, min_ns: 1, max_ns: 2, histogram: [], errors: [] };
  const tree = treeOf(process("a", null, 0), process("b", "a", 1, done), process("c", "b", 2, { state: "failed" }), process("d", "b", 3, { fold }));
  const rollup = rollupOf(tree);
  const of = (id: string) => (["running", "succeeded", "failed", "cancelled"] as const).map((state) => rollup.below(tree.find(id) as number, state));
  expect(of("b")).toEqual([1, 4, 3, 3]);
  expect(of("a")).toEqual([1, 5, 3, 3]);
  expect(of("c")).toEqual([0, 0, 0, 0]);
  expect(rollup.total(tree.find("a") as number)).toBe(12);
  expect(rollup.isQuiet(tree.find("a") as number)).toBe(false);
  expect(rollup.isQuiet(tree.find("d") as number)).toBe(true);
});

test("like siblings share a row, save for those that need a look", () => {
  const tree = crowd();
  const folding = new Folding();
  const rows = () => visibleRows(tree, folding, { rollup: rollupOf(tree) });
  expect(lines(tree, rows())).toEqual(["root", " a×3", " b", " a", " a", "  deep"]);
  const group = rows().groups[0];
  folding.setGroup(group?.key ?? "", true);
  expect(lines(tree, rows())).toEqual(["root", " a×3", "  a", "  a", "  a", " b", " a", " a", "  deep"]);
  expect(rows().groupRows.get(tree.find("a1") as number)).toBe(1);
});

test("what is over with all below it is closed, and what runs, waits or failed stays in sight", () => {
  const tree = treeOf(
    process("root", null, 0),
    process("over", "root", 1, done),
    process("b", "over", 2, done),
    process("c", "b", 3, { state: "cancelled" }),
    process("leaf", "root", 4, done),
    process("outlived", "root", 5, done),
    process("d", "outlived", 6),
    process("broken", "root", 7, done),
    process("e", "broken", 8, { state: "failed" }),
    process("waits", "root", 9, done),
    process("f", "waits", 10, { state: "retrying" }),
    process("runs", "root", 11),
    process("g", "runs", 12, done),
    process("h", "g", 13, done),
  );
  const closed = finished(tree, rollupOf(tree));
  expect([...closed].map((slot) => tree.at(slot).name).sort()).toEqual(["g", "over"]);
  const folding = new Folding();
  folding.toDepth(comfortableDepth(tree, closed));
  for (const slot of closed) folding.set(slot, false);
  const names = lines(tree, visibleRows(tree, folding)).map((line) => line.trim());
  expect(names).toEqual(["root", "over", "leaf", "outlived", "d", "broken", "e", "waits", "f", "runs", "g"]);
});

test("what is closed takes no room of what can be opened", () => {
  const stage = (name: string, state: string) => [process(name, "root", 1, { state }), ...Array.from({ length: 700 }, (_, item) => process(`${name}${item}`, name, 2, { state }))];
  const tree = treeOf(process("root", null, 0), ...stage("a", "succeeded"), process("b", "root", 3), process("c", "b", 4));
  expect(comfortableDepth(tree)).toBe(1);
  expect(comfortableDepth(tree, finished(tree, rollupOf(tree)))).toBe(Infinity);
});

test("who is revealed is taken out of a closed group", () => {
  const tree = crowd();
  const folding = new Folding();
  const hidden = tree.find("a2") as number;
  const position = () => visibleRows(tree, folding, { rollup: rollupOf(tree) }).positions[hidden];
  expect(position()).toBe(-1);
  folding.reveal(tree, tree.find("a4") as number, { rollup: rollupOf(tree) });
  expect(position()).toBe(-1);
  folding.reveal(tree, hidden, { rollup: rollupOf(tree) });
  expect(position()).toBe(3);
});

test("a filter keeps what stands above the found, and nothing else, open or not", () => {
  const tree = crowd();
  const folding = new Folding();
  folding.toDepth(1);
  const found = find(tree, "DEEP");
  expect(found.count).toBe(1);
  expect(lines(tree, visibleRows(tree, folding, { found }))).toEqual(["root", " a", "  deep"]);
  expect(visibleRows(tree, folding, { found: find(tree, "nothing") }).slots.length).toBe(0);
});

test("errors and whole ids are found as well", () => {
  const tree = treeOf(process("00000000000000aa", null, 0, { name: "x", error: { kind: "error", message: "No such Table" } }));
  expect([find(tree, "such t").count, find(tree, "00000000000000aa").count, find(tree, "00000000").count]).toEqual([1, 1, 0]);
});

test("kind and state are asked for by their names, and meet the text beside them", () => {
  const error = { kind: "error", message: "span: no such table" };
  const tree = treeOf(
    process("root", null, 0, { kind: "root" }),
    process("a", "root", 1, { kind: "span", name: "load", state: "failed", error }),
    process("b", "root", 2, { kind: "span", name: "load", state: "succeeded" }),
    process("c", "root", 3, { kind: "normal", name: "load kind: of", state: "failed" }),
  );
  const of = (text: string) => find(tree, text).count;
  expect([of("kind:span"), of("kind:span state:failed"), of("KIND:Span table"), of("load  state:failed"), of("kind:spa")]).toEqual([2, 1, 1, 2, 0]);
  expect([of("kind: of"), of("span:"), of("kind:span kind:normal"), of("kind:constructor")]).toEqual([1, 1, 0, 0]);
});
