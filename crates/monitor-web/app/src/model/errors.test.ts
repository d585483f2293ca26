import { expect, test } from "vitest";
import { causesCut, errorLine, linksOf, statesReason, tailOf } from "./errors.ts";

test("one line reads context, then cause, as in the command line", () => {
  for (const [links, line] of [
    [["can't write a.json", "No such file (os error 2)"], "can't write a.json: No such file"],
    [["import failed", "query failed", "no such table"], "import failed: query failed: no such table"],
    [["can't read: No such file (os error 2)", "No such file (os error 2)"], "can't read: No such file"],
    [["same", "same"], "same"],
    [["", "cause"], "cause"],
    [["(os error x)"], "(os error x)"],
    [["lone (os error 5) here"], "lone (os error 5) here"],
  ] as const) {
    const [message, ...chain] = links;
    expect(errorLine({ message, chain })).toBe(line);
  }
});

test("the panel has the message and its causes, and a repetition is left out", () => {
  expect(linksOf({ message: "import failed", chain: ["query failed", "no such table (os error 2)"] })).toEqual(["import failed", "query failed", "no such table (os error 2)"]);
  expect(linksOf({ message: "lone" })).toEqual(["lone"]);
  expect(linksOf({ message: "same", chain: ["same"] })).toEqual(["same"]);
});

test("that causes were left out is no cause", () => {
  const error = { message: "import failed", chain: ["query failed… [9 bytes cut]", "[12 more causes]"] };
  expect(linksOf(error)).toEqual(["import failed", "query failed… [9 bytes cut]"]);
  expect(causesCut(error)).toBe(12);
  expect(errorLine(error)).toBe("import failed: query failed…⌇: ⌇");
  expect(causesCut({ message: "[3 more causes]" })).toBe(0);
});

test("an exit code or a signal alone is no reason", () => {
  for (const message of ["exit code 4", "killed by SIGKILL (9)"]) expect(statesReason({ kind: "exit", message })).toBe(false);
  for (const error of [{ kind: "exit", message: "cat: No such file" }, { kind: "exit", message: "exit code 1\nValueError" }, { kind: "error", message: "exit code 4" }, { message: "", chain: ["cause"] }]) {
    expect(statesReason(error)).toBe(true);
  }
  expect(statesReason({ kind: "error", message: "" })).toBe(false);
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
