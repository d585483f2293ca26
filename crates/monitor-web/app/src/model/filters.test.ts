import { expect, test } from "vitest";
import type { Worker } from "../api/types.ts";
import { atUs, filtersOf, isFiltered, matches, parseSearch, queryOf, stringifySearch, withFilter } from "./filters.ts";
import { root } from "./samples.ts";

test("filters survive the address", () => {
  const filters = { state: "failed", name: "导入 & <x>", batch: "001", q: "a=b" };
  expect(filtersOf(parseSearch(stringifySearch(filters)))).toEqual(filters);
});

test("what is empty, unknown or no text is left out", () => {
  expect(filtersOf({ state: "", name: "a", other: "b", q: 3 })).toEqual({ name: "a" });
  expect(stringifySearch({ state: "", name: undefined })).toBe("");
});

test("order and time of a list are no filters, and none if they are not known", () => {
  expect(filtersOf({ sort: "oldest", at: "2026-11-20T13:00Z" })).toEqual({ sort: "oldest", at: "2026-11-20T13:00Z" });
  expect(filtersOf({ sort: "newest", at: "yesterday" })).toEqual({});
  expect(isFiltered({ sort: "oldest", at: "2026-11-20T13:00Z" })).toBe(false);
  expect(atUs({ at: "1970-01-01T00:01Z" })).toBe(60e6);
  expect(queryOf({ sort: "oldest", at: "2026-11-20T13:00Z", name: "a" }, 0)).toEqual({ name: "a" });
});

test("ids and numbers in an address stay text", () => {
  expect(parseSearch("?process=1234567812345678")).toEqual({ process: "1234567812345678" });
});

test("a filter is set and removed", () => {
  const filters = withFilter({ state: "failed" }, "q", "x");
  expect(filters).toEqual({ state: "failed", q: "x" });
  expect(withFilter(filters, "state", "")).toEqual({ q: "x" });
  expect(isFiltered(filters)).toBe(true);
  expect(isFiltered({})).toBe(false);
});

test("a live root is matched as the server would", () => {
  const error = { kind: "error", message: "No such table" };
  const failed = root(7, { state: "failed", name: "import", batch: "b1", error });
  expect(matches({}, failed)).toBe(true);
  expect(matches({ state: "failed" }, failed)).toBe(true);
  expect(matches({ state: "running,failed" }, failed)).toBe(true);
  expect(matches({ state: "running" }, failed)).toBe(false);
  expect(matches({ name: "impor" }, failed)).toBe(false);
  expect(matches({ batch: "b1", q: "such TABLE" }, failed)).toBe(true);
  expect(matches({ q: "absent" }, failed)).toBe(false);
  const caused = root(8, { root_id: "0199a3ce929d0e0e47360199a3ce929d", error: { ...error, chain: ["disk busy", "No such file"] } });
  for (const q of ["no such FILE", "No such TABLE: disk busy: No such file", "8", "#8", "<8>", "<b1:8>", "import <b1:8>", "0199a3", "0199A3CE92"]) expect(matches({ q }, caused), q).toBe(true);
  for (const q of ["18", "b1:8", "<18>", "199a", "019", "No such table: No such file"]) expect(matches({ q }, caused), q).toBe(false);
});

test("runs of a worker are found by its id, host and name, and by a glob", () => {
  const [of, run] = [{ program: "nightly", hostname: "build-7", pid: 41 } as Worker, root(7, { worker_id: "5b0c0000000000000000000000000002" })];
  const has = (text: string) => matches({ worker: text }, run, () => of);
  for (const text of ["5b0c0000000000000000000000000002", "build-7", "nightly@build-7", "nightly@build-7:41", "night*", "*@build-?", "build**"]) expect(has(text), text).toBe(true);
  for (const text of ["build", "nightly", "nightly@build-7:4", "b.ild-7", "5b0c", "[a", "5b0c0000000000000000000000000003"]) expect(has(text), text).toBe(false);
  expect(matches({ worker: "build-7" }, run)).toBe(false);
  expect(matches({ worker: "build-7" }, root(8, { worker_id: null }), () => of)).toBe(false);
});
