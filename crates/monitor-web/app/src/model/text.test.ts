import { expect, test } from "vitest";
import { brief, fieldText, headAndTail, indented, keptOf, visible, visibleLines } from "./text.ts";

test("control characters are seen", () => {
  expect(visible("a\u0000b\nc\td\r\ne\u007f")).toBe("a‹U+0000›b c d e‹U+007F›");
  expect(visible("evil\u202egnp.exe")).toBe("evil‹U+202E›gnp.exe");
  expect(visible("<script>导入 😀")).toBe("<script>导入 😀");
});

test("in several lines the lines stay", () => {
  expect(visibleLines("a\nb\tc\u001b[0m")).toBe("a\nb\tc‹U+001B›[0m");
});

test("a line of output keeps its indentation", () => {
  expect(indented("\tkey:\n  value")).toBe("    key:   value");
});

test("a long name keeps its end, a short one stays whole", () => {
  expect(headAndTail("load_row")).toEqual(["load_row", ""]);
  expect(headAndTail("a_very_long_name_of_a_function", 8)).toEqual(["a_very_long_name_of_a_", "function"]);
  // A title on a narrow screen; its number must stay visible.
  expect(headAndTail("导入订单 1795224729510 <批次一:1880>", 18)).toEqual(["导入订单 179522", "4729510 <批次一:1880>"]);
  expect(headAndTail("twelve chars", 8)).toEqual(["twelve chars", ""]);
  expect(headAndTail(`ab${"👩\u200d".repeat(9)}👩`, 10)[1]).toBe("");
});

test("nothing is torn apart in its middle", () => {
  const family = "👨\u200d👩\u200d👧";
  for (const tail of [1, 2, 3, 4, 5, 6, 7]) {
    const [head, end] = headAndTail(`${"x".repeat(20)}${family}`, tail);
    expect(head + end).toBe(`${"x".repeat(20)}${family}`);
    expect(end.includes(family)).toBe(true);
  }
});

test("a field is shown as what it is", () => {
  expect(fieldText("text")).toBe("text");
  expect(fieldText({ a: [1, null] })).toBe('{"a":[1,null]}');
});

test("that a text was cut is told from the text, where the server says so", () => {
  expect(keptOf("根根… [291 bytes cut]")).toEqual({ text: "根根…", cutBytes: 291 });
  expect(keptOf("a line… (11808 bytes cut)")).toEqual({ text: "a line…", cutBytes: 11808 });
  expect(keptOf("long… [7 bytes cut] <batch001:2106>")).toEqual({ text: "long… <batch001:2106>", cutBytes: 7 });
  expect(brief("long… [7 bytes cut] <12>")).toBe("long… <12>⌇");
  for (const whole of ["", "… [x bytes cut]", "it said… [7 bytes cut] and went on", "… [7 bytes cut] <b>"]) expect(keptOf(whole)).toEqual({ text: whole, cutBytes: 0 });
});
