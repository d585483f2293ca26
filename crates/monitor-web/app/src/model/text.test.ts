import { expect, test } from "vitest";
import { brief, fieldText, indented, keptOf, splitTitle, visible, visibleLines } from "./text.ts";

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

test("a title is its name, and its batch and number, also if the name was cut or has brackets of its own", () => {
  expect(splitTitle("import", "import <12>")).toEqual(["import", "<12>"]);
  expect(splitTitle("导入 <a>", "导入 <a> <批次一:1880>")).toEqual(["导入 <a>", "<批次一:1880>"]);
  expect(splitTitle("long… [7 bytes cut]", "long… [7 bytes cut] <3>")).toEqual(["long… [7 bytes cut]", "<3>"]);
  expect(splitTitle("", " <3>")).toEqual(["", "<3>"]);
  expect(splitTitle("one", "another <3>")).toEqual(["another <3>", ""]);
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
