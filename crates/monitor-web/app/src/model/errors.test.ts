import { expect, test } from "vitest";
import { causeFirst, causesCut, errorLine, tailOf } from "./errors.ts";

test("the farthest cause comes first", () => {
  expect(causeFirst({ message: "import failed", chain: ["query failed", "no such table"] })).toEqual(["no such table", "query failed", "import failed"]);
  expect(errorLine({ message: "import failed", chain: ["no such table"] })).toBe("no such table ← import failed");
});

test("an error without a chain is itself, and a repetition is left out", () => {
  expect(causeFirst({ message: "lone" })).toEqual(["lone"]);
  expect(causeFirst({ message: "same", chain: ["same"] })).toEqual(["same"]);
});

test("that causes were left out is no cause", () => {
  const error = { message: "import failed", chain: ["query failed… [9 bytes cut]", "[12 more causes]"] };
  expect(causeFirst(error)).toEqual(["query failed… [9 bytes cut]", "import failed"]);
  expect(causesCut(error)).toBe(12);
  expect(errorLine(error)).toBe("⌇ ← query failed…⌇ ← import failed");
  expect(causesCut({ message: "[3 more causes]" })).toBe(0);
});

test("what a command wrote last stands apart from why it failed", () => {
  const told = { kind: "exit", message: "TimeoutError: no answer", code: 1, tail: "  File x\nTimeoutError: no answer" };
  expect(errorLine(told)).toBe("TimeoutError: no answer");
  expect(tailOf(told)).toBe("  File x\nTimeoutError: no answer");
  // Format of older launchers, which did not record the tail separately.
  const before = { kind: "exit", message: "exit code 1\n  File x\nTimeoutError: no answer" };
  expect(errorLine(before)).toBe("exit code 1");
  expect(tailOf(before)).toBe("  File x\nTimeoutError: no answer");
  // For other kinds of errors, all lines are part of the message.
  const other = { kind: "error", message: "one\ntwo" };
  expect([errorLine(other), tailOf(other)]).toEqual(["one\ntwo", null]);
});
