import { expect, test } from "vitest";
import type { Process } from "../api/types.ts";
import { ColumnReader, type Part } from "./columns.ts";
import { process } from "./samples.ts";
import { Tree } from "./tree.ts";

const NONE = 0xffff_ffff;
const id = (number: number) => number.toString(16).padStart(16, "0");

function part(kind: number, body: Uint8Array, filler = 0): Uint8Array {
  const bytes = Math.ceil(body.length / 8) * 8;
  const made = new Uint8Array(8 + bytes).fill(filler, 8);
  new Uint32Array(made.buffer, 0, 2).set([kind, bytes]);
  made.set(body, 8);
  return made;
}

const json = (kind: number, content: unknown) => part(kind, new TextEncoder().encode(JSON.stringify(content)), 0x20);

interface Row {
  id: string;
  started?: number;
  ended?: number;
  elapsed?: number;
  parent?: number;
  site?: number;
  origin?: number;
  error?: number;
  state?: number;
  flags?: number;
}

function processes(first: number, rows: readonly Row[]): Uint8Array {
  const columns = [
    new BigUint64Array(rows.map((row) => BigInt(`0x${row.id}`))),
    ...(["started", "ended", "elapsed"] as const).map((key) => new Float64Array(rows.map((row) => row[key] ?? NaN))),
    ...(["parent", "site", "origin", "error"] as const).map((key) => new Uint32Array(rows.map((row) => row[key] ?? NONE))),
    new Uint32Array(rows.length),
    new Uint8Array(rows.map((row) => row.state ?? 0)),
    new Uint8Array(rows.map((row) => row.flags ?? 0)),
  ].map((column) => new Uint8Array(column.buffer));
  return part(5, join([new Uint8Array(new Uint32Array([rows.length, first]).buffer), ...columns]));
}

function join(pieces: readonly Uint8Array[]): Uint8Array {
  const made = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    made.set(piece, at);
    at += piece.length;
  }
  return made;
}

const MAGIC = new TextEncoder().encode("PMTREE01");
const head = { root: {}, ignored_parents: 0, deep_parents: 0, dropped: [], as_of: 7, count: 6 };
const error = { kind: "error", message: "no such table" };
const answer = join([
  MAGIC,
  json(1, head),
  json(2, [{ name: "导入", kind: "root", source: null }]),
  json(3, [{ worker_id: "w", thread: "main" }]),
  processes(0, [{ id: id(10), started: 10, site: 0, origin: 0, state: 1 }]),
  json(2, [{ name: "row", kind: "normal", source: { file: "db.rs", line: 8 } }]),
  json(4, [error]),
  part(99, new Uint8Array(11)),
  processes(1, [
    { id: id(11), started: 20, ended: 30, elapsed: 10_000, parent: 0, site: 1, origin: 0, error: 0, state: 3 },
    { id: id(12), started: 21, parent: 1, site: 1, state: 255, flags: 2 },
    { id: id(13), started: 22, parent: 0, site: 1, state: 5, flags: 3 },
    { id: "ffffffff00000001", parent: 0, site: 1, state: 2 },
    { id: id(15), started: 40, parent: 0, site: 1, flags: 1 },
  ]),
  json(6, [
    [2, { state: "skipped", attempt: 3, fields: { row: 7 } }],
    [3, { parent_id: id(99), reason: "gone" }],
  ]),
  part(0, new Uint8Array(0)),
]);

function load(parts: readonly Part[], tree = new Tree()): Tree {
  let take: ReturnType<Tree["load"]> | undefined;
  for (const each of parts) {
    if (each.kind === "head") take = tree.load("r", each.head.count, each.head.as_of);
    else if (each.kind === "processes") take?.processes(each.columns);
    else if (each.kind === "rare") take?.rare(each.entries);
    else if (each.kind === "end") take?.end();
    else (take?.[each.kind] as ((table: unknown) => void) | undefined)?.(each.table);
  }
  return tree;
}

function whole(cut: number): Part[] {
  const reader = new ColumnReader();
  const parts: Part[] = [];
  for (let at = 0; at < answer.length; at += cut) parts.push(...reader.push(answer.slice(at, at + cut)));
  reader.finish();
  return parts;
}

const expected: Process[] = [
  process(id(10), null, 10, { name: "导入", kind: "root", worker_id: "w", thread: "main" }),
  process(id(11), id(10), 20, { name: "row", source: { file: "db.rs", line: 8 }, worker_id: "w", thread: "main", ended_us: 30, elapsed_ns: 10_000, error, state: "failed" }),
  process(id(12), id(11), 21, { name: "row", source: { file: "db.rs", line: 8 }, state: "skipped", attempt: 3, fields: { row: 7 } as unknown as Process["fields"] }),
  process(id(13), id(99), 22, { name: "row", source: { file: "db.rs", line: 8 }, state: "lost", orphan: true, reason: "gone" }),
  process("ffffffff00000001", id(10), null, { name: "row", source: { file: "db.rs", line: 8 }, state: "pending" }),
  process(id(15), null, 40, { name: "row", kind: "normal", source: { file: "db.rs", line: 8 }, state: "succeeded" }),
].map((each) => ({ ...each, root_id: "r" }));

test("a tree in columns is the same however the answer is cut", () => {
  for (const cut of [1, 7, 8, 13, 64, answer.length]) {
    const tree = load(whole(cut));
    expect(tree.size).toBe(6);
    for (const one of expected) expect(tree.at(tree.find(one.id) as number)).toEqual(one);
    expect(tree.childrenOf(tree.find(id(10))).map((slot) => tree.idOf(slot))).toEqual([id(11), id(13), id(15), "ffffffff00000001"]);
  }
});

test("all hang as they do when told one by one", () => {
  const tree = load(whole(answer.length));
  const one = new Tree();
  for (const each of expected) one.put(each, 7);
  const below = (of: Tree, slot?: number): string[] => of.childrenOf(slot).flatMap((child) => [`${of.idOf(child)} below ${slot === undefined ? "" : of.idOf(slot)}`, ...below(of, child)]);
  expect(below(tree)).toEqual(below(one));
});

test("what the stream told since is kept, what was read before is replaced", () => {
  const tree = new Tree();
  tree.put(process(id(10), null, 10, { name: "old", kind: "root" }), 5);
  tree.put(process(id(11), id(10), 20, { name: "newer", state: "succeeded" }), 9);
  load(whole(100), tree);
  const name = (number: number) => tree.at(tree.find(id(number)) as number).name;
  expect([name(10), name(11), name(12)]).toEqual(["导入", "newer", "row"]);
  expect(tree.size).toBe(6);
  tree.put(process(id(99), id(10), 15, { name: "found" }), 10);
  expect(tree.at(tree.parentOf(tree.find(id(13)) as number) as number).name).toBe("found");
});

test("what the server hangs elsewhere for its depth stays there, whatever is told of it", () => {
  const deep = join([
    MAGIC,
    json(1, { ...head, deep_parents: 1, count: 4 }),
    processes(0, [
      { id: id(10), started: 10 },
      { id: id(11), started: 20, parent: 0 },
      { id: id(12), started: 5, parent: 0, flags: 7 },
      { id: id(13), started: 40, parent: 2 },
    ]),
    json(6, [[2, { parent_id: id(11) }]]),
    part(0, new Uint8Array(0)),
  ]);
  const tree = load(new ColumnReader().push(deep));
  const at = (number: number) => tree.find(id(number)) as number;
  const hangs = () => [11, 12, 13].map((number) => tree.idOf(tree.parentOf(at(number)) as number));
  expect(hangs()).toEqual([id(10), id(10), id(12)]);
  expect(tree.at(at(12))).toMatchObject({ orphan: true, parent_id: id(11) });
  tree.put(process(id(12), id(11), 5, { state: "succeeded" }), 8);
  expect(hangs()).toEqual([id(10), id(10), id(12)]);
  expect(tree.stateOf(at(12))).toBe("succeeded");
});

test("what is no tree, or broke off, is said", () => {
  expect(() => new ColumnReader().push(new TextEncoder().encode("<!doctype html>"))).toThrow(/another kind/);
  const reader = new ColumnReader();
  reader.push(answer.slice(0, answer.length - 8));
  expect(() => reader.finish()).toThrow(/broke off/);
  expect(() => new ColumnReader().finish()).toThrow(/broke off/);
});

test("200,000 processes are taken without ado", () => {
  const count = 200_000;
  const tree = new Tree();
  const take = tree.load("r", count, 1);
  take.sites([{ name: "x", kind: "normal", source: null }]);
  const reader = new ColumnReader();
  reader.push(MAGIC);
  for (let first = 0; first < count; first += 50_000) {
    const rows = Array.from({ length: 50_000 }, (_, at): Row => ({ id: id((first + at) * 7919 + 1), started: first + at, parent: first + at === 0 ? NONE : Math.floor((first + at) / 1000) * 1000 - ((first + at) % 1000 === 0 ? 1000 : 0), site: 0 }));
    for (const each of reader.push(processes(first, rows))) if (each.kind === "processes") take.processes(each.columns);
  }
  take.end();
  expect(tree.size).toBe(count);
  expect(tree.find(id(199_999 * 7919 + 1))).toBe(199_999);
  expect(tree.childrenOf(0).length).toBe(1000);
});
