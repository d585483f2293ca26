import { expect, test } from "vitest";
import { argumentsText, valueText } from "./task-values.ts";

test("arguments are shown in the order of a call", () => {
  const cases: [unknown, unknown, string][] = [
    [["intro.mov", 1080], { codec: "av1" }, '"intro.mov", 1080, codec="av1"'],
    ["(1, 2)", "{}", "1, 2"],
    ["('a',)", "{'b': 2}", "'a', 'b': 2"],
    ["()", "{}", ""],
    ["...", undefined, "..."],
    [null, null, ""],
    [{ a: 1 }, 7, '"a":1, 7'],
  ];
  for (const [args, kwargs, expected] of cases) expect(argumentsText(args, kwargs), JSON.stringify([args, kwargs])).toBe(expected);
});

test("a result is text or JSON", () => {
  expect([undefined, null, "sent", 7, { size: 1 }, false].map(valueText)).toEqual(["", "", "sent", "7", '{"size":1}', "false"]);
});
