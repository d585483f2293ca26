import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import type { LogLine, Process } from "../api/types.ts";
import { compare, firstDifference, type Pair, ranked, shapeOf } from "./compare.ts";
import { process } from "./samples.ts";
import { Tree } from "./tree.ts";

const MS = 1e6;

/** Parses lines like `  fetch ok 100`: name, state and duration in ms, indented by depth. */
function tree(text: string): Tree {
  const made = new Tree();
  const above: string[] = [];
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  const margin = (lines[0] ?? "").search(/\S/);
  for (const [index, line] of lines.entries()) {
    const [name = "", state = "", ms = "0"] = line.trim().split(" ");
    above.length = (line.search(/\S/) - margin) / 2;
    const id = String(index).padStart(6, "0");
    const rest: Partial<Process> = { name, kind: "normal", state: state === "ok" ? "succeeded" : state, elapsed_ns: Number(ms) * MS, ended_us: (index + Number(ms)) * 1000 };
    made.put(process(id, above.at(-1) ?? null, index * 1000, rest), 1);
    above.push(id);
  }
  return made;
}

/** Cases that the server's tests use, too. */
const CASES = readFileSync(new URL("../../../../monitor-state/cases/comparison.txt", import.meta.url), "utf8").split("\n# ").slice(1);

test.each(CASES.map((text) => [text.split("\n", 1)[0] ?? "", text]))("%s, as in the server's table", (_, text) => {
  const [, expected = "", ...lines] = text.split("\n");
  const [left, right] = lines.join("\n").split("\n--\n").map(tree) as [Tree, Tree];
  const comparison = compare(left, right, 0);
  const found = ranked(comparison, left, right).map((at) => comparison.pairs[at] as Pair);
  expect(found.map((pair) => `${pair.change} ${pair.right >= 0 ? right.at(pair.right).name : left.at(pair.left).name}`).join(", ")).toBe(expected.replace("differences:", "").trim());
});

/** Returns each pair as `depth name change`. */
function shown(left: Tree, right: Tree): string[] {
  return compare(left, right, 0).pairs.map(({ left: l, right: r, depth, change }) => `${depth} ${(r >= 0 ? right.at(r) : left.at(l)).name} ${change}`);
}

const before = tree(`
  job ok 1000
    fetch ok 100
    parse ok 600
      row ok 100
      row ok 100
    clean ok 50
    publish ok 100`);

test("the same twice differs in nothing", () => {
  const { counts, differs } = compare(before, before, 0);
  expect(counts).toMatchObject({ same: 7, slower: 0, new: 0, gone: 0, failing: 0 });
  expect([...differs]).toEqual([0, 0, 0, 0, 0, 0, 0]);
});

test("pairs stand in the order of the later tree, and what is missing at its old place", () => {
  const after = tree(`
    job failed 2000
      fetch ok 105
      warm ok 10
      parse failed 1500
        row ok 102
        row failed 900
        row ok 10
      publish ok 40`);
  expect(shown(before, after)).toEqual(["0 job failing", "1 fetch same", "1 warm new", "1 parse failing", "2 row same", "2 row failing", "2 row new", "1 clean gone", "1 publish faster"]);
  expect([...compare(before, after, 0).differs]).toEqual([1, 0, 1, 1, 0, 1, 1, 1, 0]);
});

test("a difference of children is left out of the own one", () => {
  const after = tree(`
    job ok 1900
      fetch ok 100
      parse ok 1500
        row ok 990
        row ok 100
      clean ok 50
      publish ok 100`);
  expect(compare(before, after, 0).pairs[2]).toMatchObject({ change: "slower", delta: 900 * MS, own: 10 * MS });
});

test("a tree of which nothing is known is no trouble", () => {
  expect(shown(new Tree(), tree("job running 0"))).toEqual(["0 job new"]);
  expect(shown(tree("job failed 1"), new Tree())).toEqual(["0 job gone"]);
  expect(compare(new Tree(), new Tree(), 0).pairs).toEqual([]);
});

test("100,000 processes are compared at once, in width and in depth", () => {
  const wide = new Tree();
  const deep = new Tree();
  for (let index = 0; index < 100_000; index += 1) {
    wide.put(process(`w${index}`, index === 0 ? null : "w0", index, { name: `n${index % 100}` }), 1);
    deep.put(process(`d${index}`, index === 0 ? null : `d${index - 1}`, index, { name: "n" }), 1);
  }
  expect(compare(wide, wide, 0).counts.same).toBe(100_000);
  expect(compare(deep, deep, 0).counts.same).toBe(100_000);
  expect(compare(wide, deep, 0).pairs.length).toBeGreaterThan(100_000);
});

const line = (processId: string, timeUs: number, message: string, level = "info"): LogLine => ({ process_id: processId, time_us: timeUs, level, message, target: null, stream: null, fields: {}, worker_id: "w", number: timeUs });

const whole = (lines: LogLine[]) => ({ lines, isCut: false });

test("the first line that differs is found, whatever numbers are in it", () => {
  const { pairs } = compare(before, before, 0);
  const lefts = [line("000001", 10, "read 12 rows in 3.4 ms"), line("000001", 20, "done"), line("000002", 30, "parsed")];
  const same = [line("000001", 11, "read 99 rows in 7.1 ms"), line("000001", 25, "done"), line("000002", 26, "parsed")];
  expect(firstDifference(pairs, before, before, whole(lefts), whole(same))).toBeNull();
  const other = [line("000001", 11, "read 99 rows in 7.1 ms"), line("000001", 25, "gave up", "error"), line("000002", 24, "parsed badly")];
  expect(firstDifference(pairs, before, before, whole(lefts), whole(other))).toMatchObject({ left: { message: "parsed" }, right: { message: "parsed badly" } });
  expect(firstDifference(pairs, before, before, whole(lefts), whole(same.slice(0, 1)))).toMatchObject({ left: { message: "done" }, right: null });
  // The part that was not read may be the same.
  expect(firstDifference(pairs, before, before, whole(lefts), { lines: same.slice(0, 1), isCut: true })).toBeNull();
  expect(firstDifference(pairs, before, before, { lines: lefts.slice(0, 1), isCut: true }, whole(other))).toBeNull();
  expect(firstDifference(pairs, before, before, { lines: lefts, isCut: true }, whole(other))).toMatchObject({ left: { message: "parsed" } });
});

test("a message's shape has no numbers, ids or addresses", () => {
  expect(shapeOf("row 17 of 0x7f3a at 10.0.0.1:8080 took 1.5 s")).toBe("row # of # at # took # s");
  expect(shapeOf("trace a3ce929d0e0e4736 face")).toBe("trace # face");
});
