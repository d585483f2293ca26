import { expect, test } from "vitest";
import type { Process } from "../api/types.ts";
import { process, root } from "./samples.ts";
import { snapshot, type SnapshotWords } from "./snapshot.ts";
import { Tree } from "./tree.ts";

const words: SnapshotWords = {
  language: "en",
  state: (state) => state,
  duration: (ns) => `${ns / 1e6}ms`,
  time: (us) => `@${us}`,
  count: String,
  tree: "Tree",
  timeline: "Timeline",
  logs: "Logs",
  error: "What failed",
  causedBy: "caused by",
  unnamed: "(none)",
  taken: "Taken",
  left: (rows) => `${rows} left out`,
  leftBars: (bars) => `${bars} bars left out`,
  leftLines: "older lines left out",
  missingLines: (lines) => `${lines} lines missing`,
};

const NONE = { lines: [], isCut: false, missing: 0 };

const evil = "<img src=x onerror=alert(1)>\"'&";

function made(): string {
  const tree = new Tree();
  const error = { kind: "error", message: "import failed", chain: [`no such table ${evil}`], source: { file: `src/${evil}`, line: 8 } };
  tree.put(process("a", null, 0, { name: evil, state: "failed", elapsed_ns: 10e6 }), 1);
  tree.put(process("b", "a", 1000, { name: `row ${evil}`, state: "failed", elapsed_ns: 5e6, error, fields: { [evil]: evil } as unknown as Process["fields"] }), 1);
  tree.put(process("c", "a", 2000, { name: "", state: `new ${evil}`, elapsed_ns: 1e6 }), 1);
  const line = { process_id: "b", time_us: 1500, level: evil, message: `said ${evil}\nmore`, target: evil, stream: null, fields: {}, worker_id: "w", number: 1 };
  return snapshot({ tree, root: root(7, { title: `job ${evil} <7>`, state: "failed", started_us: 0, elapsed_ns: 10e6 }), logs: { lines: [line], isCut: false, missing: 0 }, nowUs: 20_000 }, words);
}

test("nothing that came in becomes markup", () => {
  const text = made();
  expect(text).not.toContain("<img");
  expect(text).not.toContain("<script");
  // Checks that recorded text adds no attributes.
  const tags = text.match(/<\w+(?:\s+[\w-]+(?:="[^"]*")?)*\s*>/g) ?? [];
  expect(tags.map((tag) => tag.replace(/"[^"]*"/g, "")).filter((tag) => /\son/.test(tag))).toEqual([]);
  expect(tags.length).toBeGreaterThan(20);
});

test("tree, timeline, logs and what failed with its causes are in it", () => {
  const text = made();
  for (const part of ["What failed", "<details open>", "<b>import failed</b>", "\ncaused by: no such table &lt;img", "<svg", "<rect", "said &lt;img", "@20000", "(none)", "width:50.00%"]) expect(text).toContain(part);
});

test("a large tree is cut, and what failed stays with all above it", () => {
  const tree = new Tree();
  tree.put(process("a", null, 0), 1);
  for (let index = 0; index < 30_000; index += 1) tree.put(process(`b${index}`, "a", index + 1, { name: `step ${index}`, state: index === 29_000 ? "failed" : "succeeded", elapsed_ns: 1 }), 1);
  const text = snapshot({ tree, root: root(1, { started_us: 0 }), logs: NONE, nowUs: 100_000 }, words);
  expect(text).toContain("10001 left out");
  expect(text).toContain("25001 bars left out");
  expect(text).toContain("step 29000");
  expect(text).not.toContain("step 25000<");
  expect(text).not.toContain("Logs");
});

test("a tree 1,000 deep, and one without anything, is no trouble", () => {
  const tree = new Tree();
  for (let depth = 0; depth < 1000; depth += 1) tree.put(process(`p${depth}`, depth === 0 ? null : `p${depth - 1}`, depth), 1);
  const text = snapshot({ tree, root: root(1), logs: NONE, nowUs: 5 }, words);
  expect(text.match(/<details/g)?.length).toBe(text.match(/<\/details/g)?.length);
  expect(snapshot({ tree: new Tree(), root: root(1, { started_us: null }), logs: NONE, nowUs: 5 }, words)).toContain("job");
});

test("bars lie where they should, however long it took", () => {
  const hourUs = 3600e6;
  const tree = new Tree();
  tree.put(process("a", null, 0, { elapsed_ns: 2 * hourUs * 1000, state: "succeeded" }), 1);
  tree.put(process("b", "a", hourUs, { elapsed_ns: (hourUs / 2) * 1000, state: "succeeded" }), 1);
  const text = snapshot({ tree, root: root(1, { started_us: 0, elapsed_ns: 2 * hourUs * 1000 }), logs: NONE, nowUs: 3 * hourUs }, words);
  expect(text).toContain("left:50.00%;width:25.00%");
  expect(text).not.toContain("left out");
});

test("what is missing of the logs is said", () => {
  const line = { process_id: "a", time_us: 1, level: "info", message: "said", target: null, stream: null, fields: {}, worker_id: "w", number: 1 };
  const text = snapshot({ tree: new Tree(), root: root(1), logs: { lines: [line], isCut: true, missing: 7 }, nowUs: 5 }, words);
  expect(text).toContain("older lines left out");
  expect(text).toContain("7 lines missing");
});
