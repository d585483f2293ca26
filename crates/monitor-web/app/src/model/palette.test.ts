import { expect, test } from "vitest";
import { type Entry, grouped, isCertain, matches, partsOf, taskIn } from "./palette.ts";

const entry = (group: Entry["group"], text: string, isFound = false): Entry => ({ group, text, isFound });
const order = (entries: Entry[], typed: string) => grouped(entries, typed).map(({ group, entries: own }) => `${group}: ${own.map(({ text }) => text).join()}`);

test("entries are in groups, and groups that begin with the typed text precede the others", () => {
  const entries = [entry("sections", "Workers"), entry("runs", "import gold", true), entry("actions", "Run gold now", true), entry("tasks", "gold", true), entry("runs", "old", true)];
  expect(order(entries, "")).toEqual(["sections: Workers", "actions: Run gold now", "tasks: gold", "runs: import gold,old"]);
  expect(order(entries, "GOLD")).toEqual(["tasks: gold", "actions: Run gold now", "runs: import gold,old", "sections: Workers"]);
  expect(order(entries, "run")).toEqual(["actions: Run gold now", "tasks: gold", "runs: import gold,old", "sections: Workers"]);
});

test("a response of the server moves no entry that is certain", () => {
  const [known, found] = [entry("sections", "Workers"), entry("names", "work", true)];
  expect(isCertain(known, "wor")).toBe(true);
  expect(order([known], "wor")[0]).toBe("sections: Workers");
  expect(order([known, found], "wor")).toEqual(["sections: Workers", "names: work"]);
  // Here a name precedes the section, so the section is not certain before the response.
  expect(isCertain(known, "ork")).toBe(false);
  expect(isCertain(found, "wor")).toBe(false);
  expect(isCertain(entry("ids", "4711"), "<4711>")).toBe(true);
});

test("a text has all words, in any order", () => {
  expect(["dark theme", "Theme dark", "", "dark light"].map((typed) => matches("Theme: dark", typed))).toEqual([true, true, true, false]);
});

test("the typed text is emphasised, or else its words", () => {
  const shown = (text: string, typed: string) => partsOf(text, typed).map((part) => (part.isMatch ? `[${part.text}]` : part.text)).join("");
  expect(shown("Run gold-prices now", "GOLD")).toBe("Run [gold]-prices now");
  expect(shown("Theme: dark", " dark theme ")).toBe("[Theme]: [dark]");
  expect(shown("abcd", "bc cd")).toBe("a[bc][d]");
  expect(shown("导入订单", "订单")).toBe("导入[订单]");
  expect(shown("abc", "x")).toBe("abc");
  expect(shown("abc", "")).toBe("abc");
  expect(shown("abc", "abc")).toBe("[abc]");
  // İ has two characters in lower case.
  expect(shown("İstanbul gold", "gold")).toBe("İstanbul gold");
});

test("the task of a typed action is found", () => {
  const run = ["Run ", " now"];
  expect(["run gold", "Run gold now", "run  gold", "run", "runner", "gold", "run now"].map((typed) => taskIn(typed, run))).toEqual(["gold", "gold", "gold", undefined, undefined, undefined, undefined]);
  expect(["立即运行 gold", "立即运行gold", "gold"].map((typed) => taskIn(typed, ["立即运行 ", ""]))).toEqual(["gold", "gold", undefined]);
});
