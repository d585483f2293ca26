import { expect, test } from "vitest";
import { causeFirst, causesCut, errorLine } from "./errors.ts";

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
