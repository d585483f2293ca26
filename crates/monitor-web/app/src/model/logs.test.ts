import { expect, test } from "vitest";
import type { LogLine } from "../api/types.ts";
import { Lines, matchesLog, readLine } from "./logs.ts";

const line = (number: number, timeUs: number, rest: Partial<LogLine> = {}): LogLine => ({
  process_id: "a",
  time_us: timeUs,
  level: "info",
  message: `line ${number}`,
  target: null,
  stream: null,
  fields: {},
  worker_id: "w",
  number,
  ...rest,
});
const numbers = (lines: Lines) => lines.all.map(({ number }) => number);

test("lines come in order of time, each once, from whichever side", () => {
  const lines = new Lines(100);
  expect(lines.add([line(3, 30), line(4, 40)])).toBe(2);
  expect(lines.add([line(4, 40), line(5, 50)])).toBe(1);
  expect(lines.add([line(2, 20), line(1, 10)])).toBe(2);
  expect(lines.add([line(6, 35)])).toBe(1);
  expect(numbers(lines)).toEqual([1, 2, 3, 6, 4, 5]);
});

test("only so many are kept, and what was forgotten may come again", () => {
  const lines = new Lines(2);
  lines.add([line(1, 10), line(2, 20), line(3, 30)]);
  expect(lines.trim()).toBe(1);
  expect(numbers(lines)).toEqual([2, 3]);
  expect(lines.add([line(1, 10)])).toBe(1);
});

test("a line passes by its level or worse, its text and its process", () => {
  expect(matchesLog({ level: "warn" }, line(1, 1, { level: "error" }))).toBe(true);
  expect(matchesLog({ level: "warn" }, line(1, 1, { level: "info" }))).toBe(false);
  expect(matchesLog({ level: "warn" }, line(1, 1, { level: "odd" }))).toBe(true);
  expect(matchesLog({ q: "LINE 1" }, line(1, 1))).toBe(true);
  expect(matchesLog({ q: "db" }, line(1, 1, { target: "app::DB" }))).toBe(true);
  expect(matchesLog({ q: "orders" }, line(1, 1, { fields: { table: "Orders" } }))).toBe(true);
  expect(matchesLog({ q: "absent" }, line(1, 1))).toBe(false);
  expect(matchesLog({ process: "b" }, line(1, 1))).toBe(false);
});

test.each([
  ['{"level":"error","msg":"no table","ts":"2026-11-20T10:00:00Z","status":500}', { level: "error", message: "no table  status=500" }],
  ['{"level":50,"message":"down","pid":7}', { level: "error", message: "down  pid=7" }],
  ['{"severity":"WARNING","message":"slow"}', { level: "warn", message: "slow" }],
  ['{"level":"of its own","msg":"x"}', { level: "info", message: "x" }],
  ['{"level":"constructor"}', { level: "info", message: "" }],
  ['{"a":1}', { level: "info", message: '{"a":1}' }],
  ['{"level": half', { level: "info", message: '{"level": half' }],
  ["plain", { level: "info", message: "plain" }],
  ["{}", { level: "info", message: "{}" }],
])("%s is read as a line", (message, read) => {
  expect(readLine({ level: "info", message })).toEqual(read);
});
