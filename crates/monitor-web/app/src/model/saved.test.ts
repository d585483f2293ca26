import { expect, test } from "vitest";
import { nameOf, parseSaved, withSaved } from "./saved.ts";

test("what was kept is read, what is damaged is not", () => {
  expect(parseSaved(null)).toEqual([]);
  expect(parseSaved("{")).toEqual([]);
  expect(parseSaved('{"name":"x"}')).toEqual([]);
  expect(parseSaved('[null, 7, {"name":""}, {"name":"a"}, {"name":"b","filters":{"state":"failed","evil":"x","q":3}}]')).toEqual([{ name: "b", filters: { state: "failed" } }]);
});

test("one of the same name takes the place of the other", () => {
  const saved = withSaved(withSaved([], { name: "b", filters: { q: "1" } }), { name: "a", filters: {} });
  expect(saved.map(({ name }) => name)).toEqual(["a", "b"]);
  expect(withSaved(saved, { name: "b", filters: { q: "2" } })).toEqual([saved[0], { name: "b", filters: { q: "2" } }]);
});

test("filters are called by what is in them", () => {
  expect(nameOf({ state: "failed", q: "import" })).toBe("failed · import");
});
