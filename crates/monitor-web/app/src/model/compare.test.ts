import { expect, test } from "vitest";
import type { LogLine, Process } from "../api/types.ts";
import { compare, firstDifference, ranked, shapeOf } from "./compare.ts";
import { process } from "./samples.ts";
import { Tree } from "./tree.ts";

const MS = 1e6;

/** `path state ms`: a process a line, below the one whose path is its own without the last part. */
function tree(text: string): Tree {
  const made = new Tree();
  const ids = new Map<string, string>();
  text
    .trim()
    .split("\n")
    .forEach((line, index) => {
      const [path = "", state = "succeeded", ms = "0"] = line.trim().split(" ");
      const parent = path.includes("/") ? (ids.get(path.slice(0, path.lastIndexOf("/"))) ?? null) : null;
      const id = String(index).padStart(3, "0");
      ids.set(path, id);
      const rest: Partial<Process> = { name: path.slice(path.lastIndexOf("/") + 1), state, elapsed_ns: Number(ms) * MS, ended_us: index * 1000 + Number(ms) * 1000 };
      made.put(process(id, parent, index * 1000, rest), 1);
    });
  return made;
}

/** Every pair as `depth name change`. */
function shown(left: Tree, right: Tree): string[] {
  return compare(left, right, 0).pairs.map(({ left: l, right: r, depth, change }) => `${depth} ${(r >= 0 ? right.at(r) : left.at(l)).name} ${change}`);
}

const before = tree(`
  job succeeded 1000
  job/fetch succeeded 100
  job/parse succeeded 600
  job/parse/row succeeded 100
  job/parse/row succeeded 100
  job/clean succeeded 50
  job/publish succeeded 100`);

test("the same twice differs in nothing", () => {
  const { counts, differs } = compare(before, before, 0);
  expect(counts).toMatchObject({ same: 7, slower: 0, new: 0, gone: 0, failing: 0 });
  expect([...differs]).toEqual([0, 0, 0, 0, 0, 0, 0]);
});

test("new, gone, slower and newly failing are told apart, siblings of a name by their order", () => {
  const after = tree(`
    job failed 2000
    job/fetch succeeded 105
    job/warm succeeded 10
    job/parse failed 1500
    job/parse/row succeeded 102
    job/parse/row failed 900
    job/parse/row succeeded 10
    job/publish succeeded 40`);
  expect(shown(before, after)).toEqual(["0 job failing", "1 fetch same", "1 warm new", "1 parse failing", "2 row same", "2 row failing", "2 row new", "1 clean gone", "1 publish faster"]);
  const comparison = compare(before, after, 0);
  expect([...comparison.differs]).toEqual([1, 0, 1, 1, 0, 1, 1, 1, 0]);
  const order = ranked(comparison, before, after).map((at) => comparison.pairs[at]).map((pair) => pair && `${pair.change} ${(pair.right >= 0 ? after.at(pair.right) : before.at(pair.left)).name}`);
  expect(order).toEqual(["failing row", "failing job", "failing parse", "new warm", "new row", "gone clean", "faster publish"]);
});

test("who is slower by itself comes before who waited for it", () => {
  const after = tree(`
    job succeeded 1900
    job/fetch succeeded 100
    job/parse succeeded 1500
    job/parse/row succeeded 990
    job/parse/row succeeded 100
    job/clean succeeded 50
    job/publish succeeded 100`);
  const comparison = compare(before, after, 0);
  const order = ranked(comparison, before, after).map((at) => after.at(comparison.pairs[at]?.right ?? 0).name);
  expect(order).toEqual(["row", "parse", "job"]);
  expect(comparison.pairs[2]).toMatchObject({ change: "slower", delta: 900 * MS, own: 10 * MS });
});

test("of what is new only the top is listed; what failed before and does not now is mended", () => {
  const left = tree("job failed 10\njob/a failed 5");
  const right = tree("job succeeded 10\njob/a succeeded 5\njob/b succeeded 5\njob/b/c succeeded 4");
  const comparison = compare(left, right, 0);
  expect(comparison.counts).toMatchObject({ mended: 2, new: 2 });
  expect(ranked(comparison, left, right).map((at) => right.at(comparison.pairs[at]?.right ?? 0).name)).toEqual(["b", "job", "a"]);
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
  const lefts = [line("001", 10, "read 12 rows in 3.4 ms"), line("001", 20, "done"), line("002", 30, "parsed")];
  const same = [line("001", 11, "read 99 rows in 7.1 ms"), line("001", 25, "done"), line("002", 26, "parsed")];
  expect(firstDifference(pairs, before, before, whole(lefts), whole(same))).toBeNull();
  const other = [line("001", 11, "read 99 rows in 7.1 ms"), line("001", 25, "gave up", "error"), line("002", 24, "parsed badly")];
  expect(firstDifference(pairs, before, before, whole(lefts), whole(other))).toMatchObject({ left: { message: "parsed" }, right: { message: "parsed badly" } });
  expect(firstDifference(pairs, before, before, whole(lefts), whole(same.slice(0, 1)))).toMatchObject({ left: { message: "done" }, right: null });
  // What was not read may well be the same.
  expect(firstDifference(pairs, before, before, whole(lefts), { lines: same.slice(0, 1), isCut: true })).toBeNull();
  expect(firstDifference(pairs, before, before, { lines: lefts.slice(0, 1), isCut: true }, whole(other))).toBeNull();
  expect(firstDifference(pairs, before, before, { lines: lefts, isCut: true }, whole(other))).toMatchObject({ left: { message: "parsed" } });
});

test("a message's shape has no numbers, ids or addresses", () => {
  expect(shapeOf("row 17 of 0x7f3a at 10.0.0.1:8080 took 1.5 s")).toBe("row # of # at # took # s");
  expect(shapeOf("trace a3ce929d0e0e4736 face")).toBe("trace # face");
});
