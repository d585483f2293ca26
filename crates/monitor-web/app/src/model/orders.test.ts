import { expect, test } from "vitest";
import { en } from "../locales/parts/worker.en.ts";
import { zh } from "../locales/parts/worker.zh.ts";
import { CHANGING, fieldsOf, offeredBy, READING, readArguments } from "./orders.ts";

test.each([["en", en], ["zh", zh]])("each method and argument has its words in %s", (_, words) => {
  const methods = { ...READING, ...CHANGING };
  const keys = [...Object.keys(methods).map((name) => `worker.method.${name}`), ...Object.keys(CHANGING).map((name) => `worker.effect.${name}`), ...Object.values(methods).flatMap((fields) => fields.map(({ name }) => `worker.argument.${name}`))];
  expect(keys.filter((key) => !(key in words))).toEqual([]);
});

test("what a worker offers is sorted, and its own methods are not forgotten", () => {
  expect(offeredBy(["cache-clear", "shutdown", "ping", "cancel", "call", "purge", "retry", "pause", "query"])).toEqual({ reading: ["ping", "query"], changing: ["pause", "shutdown"], own: ["cache-clear"] });
  expect(offeredBy([])).toEqual({ reading: ["ping", "stats", "active", "registered"], changing: [], own: [] });
});

const read = (method: string, typed: Record<string, string>) => readArguments(fieldsOf(method), typed);

test("arguments are read as the methods take them", () => {
  expect(read("rate-limit", { name: "render", rate: "10/s", for_ms: "10m" })).toEqual({ arguments: { name: "render", rate: "10/s", for_ms: 600_000 } });
  expect(read("time-limit", { name: "render", hard_ms: "5m" })).toEqual({ arguments: { name: "render", hard_ms: 300_000 } });
  expect(read("autoscale", { min: "2", max: "16" })).toEqual({ arguments: { min: 2, max: 16 } });
  expect(read("revoke", { ids: " a, b\nc ", terminate: "" })).toEqual({ arguments: { ids: ["a", "b", "c"] } });
  expect(read("revoke", { ids: "a", terminate: "yes" })).toEqual({ arguments: { ids: ["a"], terminate: true } });
  expect(read("enable-events", { level: "", kind: "span", name: "GET *", for_ms: "" })).toEqual({ arguments: { kind: "span", name: "GET *" } });
  expect(read("shutdown", {})).toEqual({ arguments: {} });
  expect(read("cache-clear", { arguments: '{"name": "prices"}' })).toEqual({ arguments: { name: "prices" } });
  expect(read("cache-clear", {})).toEqual({ arguments: {} });
});

test("the first argument that can't be read is named", () => {
  expect(read("rate-limit", { rate: "10/s" })).toEqual({ wrong: "name" });
  expect(read("pool-grow", { n: "-1" })).toEqual({ wrong: "n" });
  expect(read("pause", { for_ms: "soon" })).toEqual({ wrong: "for_ms" });
  expect(read("query", { ids: " , " })).toEqual({ wrong: "ids" });
  for (const wrong of ["[]", "7", "{", "null"]) expect(read("cache-clear", { arguments: wrong })).toEqual({ wrong: "arguments" });
});
