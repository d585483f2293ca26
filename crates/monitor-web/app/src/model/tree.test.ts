import { expect, test } from "vitest";
import type { Process } from "../api/types.ts";
import { comfortableDepth, Folding, visibleRows } from "./rows.ts";
import { process } from "./samples.ts";
import { Tree } from "./tree.ts";

const ROOT = "0199a3ce929d0e0e47360199a3ce929d";

function treeOf(processes: Process[]): Tree {
  const tree = new Tree();
  processes.forEach((each, index) => tree.put(each, index + 1));
  return tree;
}

/** Returns the tree on one line: `a(b,c(d))`. */
function shape(tree: Tree, slot?: number): string {
  const parts = tree.childrenOf(slot).map((child) => {
    const below = shape(tree, child);
    return tree.at(child).name + (below === "" ? "" : `(${below})`);
  });
  return parts.join(",");
}

const family = [
  process("a", null, 10),
  process("b", "a", 20),
  process("d", "b", 25),
  process("c", "a", 30),
  process("e", "c", 31),
];

function* permutations<Item>(items: Item[]): Generator<Item[]> {
  if (items.length <= 1) yield items;
  for (const [index, item] of items.entries()) {
    for (const rest of permutations(items.filter((_, at) => at !== index))) yield [item, ...rest];
  }
}

test("links are found from both of their ends", () => {
  const [a, b, d, c, e] = family.map((each) => ({ ...each, root_id: ROOT })) as [Process, Process, Process, Process, Process];
  const link = (id: string, root_id = ROOT) => ({ root_id, id, relation: "follows_from" });
  const tree = treeOf([a, b, { ...d, links: [link(b.id), link(c.id, "another tree's")] }, c, { ...e, links: [link(b.id)] }]);
  const from = (of: Process) => tree.linkedFrom(of.id).map(({ slot, relation }) => `${tree.at(slot).name} ${relation}`);
  expect(from(b)).toEqual(["d follows_from", "e follows_from"]);
  expect([from(c), from(d)]).toEqual([[], []]);
});

test("a list in pre-order becomes its tree", () => {
  expect(shape(treeOf(family))).toBe("a(b(d),c(e))");
});

test("every order of arrival gives the same tree", () => {
  for (const order of permutations(family)) expect(shape(treeOf(order))).toBe("a(b(d),c(e))");
});

test("siblings stand as they started, those without a start last, equal ones by id", () => {
  const tree = treeOf([
    process("a", null, 1),
    process("x", "a", null),
    process("c", "a", 5),
    process("b", "a", 5),
    process("d", "a", 2),
  ]);
  expect(shape(tree)).toBe("a(d,b,c,x)");
});

test("without its parent a process hangs below the root's own, until the parent comes", () => {
  const tree = treeOf([process("a", null, 1), process("c", "b", 3)]);
  expect(shape(tree)).toBe("a(c)");
  expect(tree.isOrphan(tree.find("c") as number)).toBe(true);
  tree.put(process("b", "a", 2), 10);
  expect(shape(tree)).toBe("a(b(c))");
  expect(tree.isOrphan(tree.find("c") as number)).toBe(false);
});

test("the earliest process without a parent is the root's own, the others hang below it", () => {
  expect(shape(treeOf([process("b", null, 5), process("x", "b", 6), process("a", null, 2)]))).toBe("a(b(x))");
});

test("orphans alone stand at the top", () => {
  expect(shape(treeOf([process("x", "gone", 2), process("w", "gone", 1)]))).toBe("w,x");
});

test("a parent that would close a cycle is ignored", () => {
  const tree = treeOf([process("a", null, 1), process("b", "c", 2), process("c", "b", 3)]);
  expect(shape(tree)).toBe("a(b(c))");
  expect(tree.size).toBe(3);
});

test("a process that is its own parent is no trap", () => {
  expect(shape(treeOf([process("a", null, 1), process("b", "b", 2)]))).toBe("a(b)");
});

test("an older version changes nothing, a newer one moves and changes", () => {
  const tree = treeOf(family);
  tree.put(process("d", "c", 25, { state: "failed" }), 2);
  expect(shape(tree)).toBe("a(b(d),c(e))");
  tree.put(process("d", "c", 40, { state: "failed" }), 50);
  expect(shape(tree)).toBe("a(b,c(e,d))");
  expect(tree.at(tree.find("d") as number).state).toBe("failed");
});

test("after a fresh start of the stream smaller numbers are newer", () => {
  const tree = new Tree();
  tree.put(process("a", null, 1), 900);
  tree.expire();
  tree.put(process("a", null, 1, { state: "succeeded" }), 3);
  expect(tree.at(0).state).toBe("succeeded");
});

function names(tree: Tree, slots: Iterable<number>): string[] {
  return [...slots].map((slot) => tree.at(slot).name);
}

test("rows follow what is folded open", () => {
  const tree = treeOf(family);
  const folding = new Folding();
  const rows = () => names(tree, visibleRows(tree, folding).slots);
  expect(rows()).toEqual(["a", "b", "d", "c", "e"]);
  folding.toDepth(1);
  expect(rows()).toEqual(["a", "b", "c"]);
  folding.set(tree.find("c") as number, true);
  expect(rows()).toEqual(["a", "b", "c", "e"]);
  folding.reveal(tree, tree.find("d") as number);
  expect(rows()).toEqual(["a", "b", "d", "c", "e"]);
  expect([...visibleRows(tree, folding).depths]).toEqual([0, 1, 2, 1, 2]);
});

test("where a row stands is known, and -1 for what is out of sight", () => {
  const tree = treeOf(family);
  const folding = new Folding();
  folding.toDepth(1);
  const { positions } = visibleRows(tree, folding);
  expect(positions[tree.find("c") as number]).toBe(2);
  expect(positions[tree.find("e") as number]).toBe(-1);
});

test("a small tree opens whole, a large one as far as is comfortable", () => {
  expect(comfortableDepth(treeOf(family))).toBe(Infinity);
  const stages = Array.from({ length: 50 }, (_, stage) => [
    process(`s${stage}`, "a", 10 + stage),
    ...Array.from({ length: 50 }, (_, item) => process(`s${stage}i${item}`, `s${stage}`, 100 + item)),
  ]);
  expect(comfortableDepth(treeOf([process("a", null, 1), ...stages.flat()]))).toBe(1);
});

test("100,000 processes in one chain and 100,000 siblings are no trouble", () => {
  const tree = new Tree();
  tree.put(process("p0", null, 0), 1);
  for (let index = 1; index < 100_000; index += 1) tree.put(process(`p${index}`, `p${index - 1}`, index), 1);
  for (let index = 0; index < 100_000; index += 1) tree.put(process(`s${index}`, "p0", 1e6 + index), 1);
  expect(visibleRows(tree, new Folding()).slots.length).toBe(200_000);
});
