import { expect, test } from "vitest";
import type { Process } from "../api/types.ts";
import { find } from "./filter.ts";
import { Lanes } from "./lanes.ts";
import { preorder, Rollup } from "./rollup.ts";
import { Folding, visibleRows } from "./rows.ts";
import { process } from "./samples.ts";
import { Tree } from "./tree.ts";

function treeOf(...processes: Process[]): Tree {
  const tree = new Tree();
  processes.forEach((each, index) => tree.put(each, index + 1));
  return tree;
}

const lanesOf = (tree: Tree) => new Lanes(tree, preorder(tree), ({ thread }) => ({ key: thread ?? "", label: `on ${thread}` }));
const on = (thread: string, rest: Partial<Process> = {}) => ({ thread, state: "succeeded", ...rest });

/** `main` starts `parse` on A, which starts `load` there and `send` on B, which calls `back` on A. */
function handed(): Tree {
  return treeOf(
    process("main", null, 0, on("M")),
    process("parse", "main", 1, on("A")),
    process("load", "parse", 2, on("A", { state: "failed" })),
    process("send", "parse", 3, on("B")),
    process("back", "send", 4, on("A")),
    process("own", "main", 5, on("M")),
  );
}

function lines(tree: Tree, folding: Folding, rest: Parameters<typeof visibleRows>[2] = {}): string[] {
  const rows = visibleRows(tree, folding, { lanes: lanesOf(tree), ...rest });
  return [...rows.slots].map((slot, row) => {
    const group = slot < 0 ? rows.groups[-1 - slot] : undefined;
    const name = group?.lane ? `[${group.lane.label}]` : group ? `${tree.at(group.members[0] as number).name}×${group.members.length}` : tree.at(slot).name;
    return `${" ".repeat(rows.levels[row] ?? 0)}${name} ${rows.places[row]}/${rows.sizes[row]}`;
  });
}

test("every process stands once, in its lane, below its parent if that runs there too", () => {
  const tree = handed();
  expect(lines(tree, new Folding())).toEqual([
    "[on M] 1/3",
    " main 1/1",
    "  own 1/1",
    "[on A] 2/3",
    " parse 1/2",
    "  load 1/1",
    " back 2/2",
    "[on B] 3/3",
    " send 1/1",
  ]);
  const lanes = lanesOf(tree);
  const slot = (id: string) => tree.find(id) as number;
  expect([lanes.parentOf(slot("load")), lanes.parentOf(slot("send"))]).toEqual([slot("parse"), undefined]);
  expect(lanes.elsewhere(slot("parse"))).toEqual({ first: slot("send"), count: 1 });
  expect(lanes.elsewhere(slot("load"))).toBeUndefined();
  expect([...preorder(lanes)].map((each) => tree.idOf(each))).toEqual(["main", "own", "parse", "load", "back", "send"]);
});

test("lanes and processes fold, and whoever is revealed is opened up to", () => {
  const tree = handed();
  const folding = new Folding();
  const lanes = lanesOf(tree);
  folding.setLane("A", false);
  expect(lines(tree, folding)).not.toContain(" parse 1/2");
  folding.reveal(tree, tree.find("load") as number, { lanes });
  expect(lines(tree, folding)).toContain("  load 1/1");
  folding.toDepth(1);
  expect(lines(tree, folding)).toEqual(["[on M] 1/3", " main 1/1", "[on A] 2/3", " parse 1/2", " back 2/2", "[on B] 3/3", " send 1/1"]);
  folding.toDepth(0);
  expect(lines(tree, folding)).toEqual(["[on M] 1/3", "[on A] 2/3", "[on B] 3/3"]);
  folding.reveal(tree, tree.find("load") as number, { lanes });
  expect(lines(tree, folding)).toContain("  load 1/1");
});

test("a filter leaves the lanes in which something was found, and there what stands above it", () => {
  const tree = handed();
  const lanes = lanesOf(tree);
  expect(lines(tree, new Folding(), { found: find(tree, "load", lanes) })).toEqual(["[on A] 1/1", " parse 1/1", "  load 1/1"]);
  expect(lines(tree, new Folding(), { found: find(tree, "back", lanes) })).toEqual(["[on A] 1/1", " back 1/1"]);
  expect(lines(tree, new Folding(), { found: find(tree, "nothing", lanes) })).toEqual([]);
});

test("a lane counts all that runs in it, a process what is below it there", () => {
  const tree = handed();
  const lanes = lanesOf(tree);
  const rollup = new Rollup(tree, preorder(tree), lanes);
  const totals = lanes.list.map((_, index) => rollup.total(rollup.ofLane(index)));
  expect(totals).toEqual([2, 3, 1]);
  expect(rollup.below(rollup.ofLane(1), "failed")).toBe(1);
  expect(rollup.total(tree.find("main") as number)).toBe(1);
  expect(rollup.total(tree.find("parse") as number)).toBe(1);
});

test("like siblings are grouped lane by lane", () => {
  const many = Array.from({ length: 8 }, (_, index) => process(`item ${index}`, "main", 1 + index, on(index % 2 === 0 ? "A" : "B", { name: "item" })));
  const tree = treeOf(process("main", null, 0, on("M")), ...many);
  const lanes = lanesOf(tree);
  const rollup = new Rollup(tree, preorder(tree), lanes);
  const folding = new Folding();
  expect(lines(tree, folding, { rollup })).toEqual(["[on M] 1/3", " main 1/1", "[on A] 2/3", " item×4 1/1", "[on B] 3/3", " item×4 1/1"]);
  folding.reveal(tree, tree.find("item 1") as number, { rollup, lanes });
  expect(lines(tree, folding, { rollup }).slice(4)).toEqual(["[on B] 3/3", " item×4 1/1", "  item 1/4", "  item 2/4", "  item 3/4", "  item 4/4"]);
});

test("what comes after the lanes were made stands once at most", () => {
  const tree = handed();
  const lanes = lanesOf(tree);
  tree.put(process("late", "send", 6, on("A")), 100);
  tree.put(process("moved", "own", 7, on("M")), 101);
  tree.put({ ...tree.at(tree.find("back") as number), parent_id: "parse" }, 102);
  const { slots, positions } = visibleRows(tree, new Folding(), { lanes });
  const shown = [...slots].filter((slot) => slot >= 0);
  expect(new Set(shown).size).toBe(shown.length);
  expect(slots[positions[tree.find("late") as number] as number]).toBe(tree.find("late"));
  expect(lanes.indexOf(tree.find("late") as number)).toBe(2);
});

test("100,000 processes of eight threads are cut, and all of them are listed", () => {
  const tree = new Tree();
  const id = (at: number) => (at + 1).toString(16).padStart(16, "0");
  tree.put(process(id(0), null, 0, on("M")), 1);
  for (let at = 1; at < 100_000; at += 1) tree.put(process(id(at), at % 100 === 0 ? id(0) : id(at - (at % 100)), at, on(`T${at % 8}`)), 1 + at);
  const { slots } = visibleRows(tree, new Folding(), { lanes: lanesOf(tree) });
  expect(slots.length).toBe(tree.size + 9);
});
