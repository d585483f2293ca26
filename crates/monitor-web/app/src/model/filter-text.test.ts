import { expect, test } from "vitest";
import { filterText, mistakesIn, withText } from "./filter-text.ts";

test.each([
  ["", {}],
  ["timed out", { q: "timed out" }],
  ["name:import", { name: "import" }],
  ['name:"nightly import" batch:7 No such file', { name: "nightly import", batch: "7", q: "No such file" }],
  ['name:"say \\"hi\\" \\\\ now"', { name: 'say "hi" \\ now' }],
])("%s is read as it is written", (text, filters) => {
  expect(withText({}, text)).toEqual(filters);
  expect(filterText(filters)).toBe(text);
});

test("the name of a worker stays in the line, and its id has a button", () => {
  const id = "0199a3ce929d0e0e47360199a3ce929d";
  expect(filterText({ worker: "build-7", q: "boom" })).toBe("worker:build-7 boom");
  expect(withText({ worker: "build-7" }, "boom")).toEqual({ q: "boom" });
  expect(filterText({ worker: id })).toBe("");
  expect(withText({ worker: id }, "boom")).toEqual({ worker: id, q: "boom" });
});

test("a state and a worker can be typed, and stay when the line says nothing of them", () => {
  expect(withText({}, "state:failed boom worker:ab12")).toEqual({ state: "failed", worker: "ab12", q: "boom" });
  expect(withText({ state: "failed", since: "1h", name: "x" }, "boom")).toEqual({ state: "failed", since: "1h", q: "boom" });
});

test("half of a term is none, or one that is still being typed", () => {
  expect(withText({}, "name:")).toEqual({});
  expect(withText({}, 'name:"nightly imp')).toEqual({ name: '"nightly'.slice(1), q: "imp" });
  expect(withText({}, "rename:x http://host:80/")).toEqual({ q: "rename:x http://host:80/" });
});

test("states and keys that do not exist are found", () => {
  expect(mistakesIn({ state: "bogus,failed,retrying", q: "foo:bar exit: 3 http://host:80/ std::io::Error c:\\temp foo:baz" })).toEqual({ states: ["bogus"], keys: ["foo"] });
  expect(mistakesIn({ state: "lost", q: "::: a: b" })).toEqual({ states: [], keys: [] });
});
