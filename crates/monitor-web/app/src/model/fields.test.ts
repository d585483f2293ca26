import { expect, test } from "vitest";
import { fieldParts } from "./fields.ts";

test("arguments and what is returned stand apart from all else", () => {
  expect(fieldParts({ row: 7, "args.path": "a", args: { n: 1 }, arguments: ["x"], return: null, returned: 3, "monitor.cut": 4 })).toEqual({
    arguments: [
      ["path", "a"],
      ["n", 1],
      ["arguments", ["x"]],
    ],
    returned: [["return", null]],
    own: [
      ["row", 7],
      ["returned", 3],
    ],
    cut: 4,
  });
});
