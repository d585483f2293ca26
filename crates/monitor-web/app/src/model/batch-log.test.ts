import { expect, test } from "vitest";
import { MOST_LINES, RunLog, TAIL_BYTES, firstLines, plainLine, readRunId } from "./batch-log.ts";

/** Reads a log of single-byte characters, as an agent returns it. */
function read(log: RunLog, whole: string, isOver: boolean, most = 131_072): void {
  let isMore = true;
  while (isMore) {
    const text = whole.slice(log.next, log.next + most);
    isMore = log.add({ offset: log.next, text, next_offset: log.next + text.length, size_bytes: whole.length, is_over: isOver });
  }
}

test("a log is followed in pieces that cut lines", () => {
  const log = new RunLog();
  read(log, "one\ntw", false, 3);
  expect([log.lines, log.isWhole]).toEqual([["one", "tw"], false]);
  read(log, "one\ntwo\n\nfour\n", false, 2);
  expect(log.lines).toEqual(["one", "two", "", "four"]);
  read(log, "one\ntwo\n\nfour\nend", true);
  expect([log.lines, log.isWhole, log.from]).toEqual([["one", "two", "", "four", "end"], true, 0]);
  expect(log.found("O")).toEqual([0, 1, 3]);
  expect(log.found("")).toEqual([0, 1, 2, 3, 4]);
});

test("a run that wrote nothing is over at once", () => {
  const log = new RunLog();
  read(log, "", true);
  expect([log.lines, log.isWhole]).toEqual([[], true]);
});

test("of a long log the end is read first, from the beginning of a line, and all of it if that is asked for", () => {
  const whole = Array.from({ length: 200_000 }, (_, at) => `line ${at}\n`).join("");
  const tail = new RunLog();
  read(tail, whole, true);
  expect(tail.from).toBe(whole.length - TAIL_BYTES);
  expect(tail.lines[0]).toMatch(/^line \d+$/);
  expect(tail.lines.at(-1)).toBe("line 199999");
  const all = new RunLog(true);
  read(all, whole, true);
  expect([all.from, all.lines.length, all.forgotten, all.lines.at(-1)]).toEqual([0, MOST_LINES, 150_000, "line 199999"]);
});

test("a piece that was not asked for changes nothing", () => {
  const log = new RunLog();
  read(log, "one\n", false);
  log.add({ offset: 0, text: "one\n", next_offset: 4, size_bytes: 4, is_over: false });
  expect(log.lines).toEqual(["one"]);
});

test("colours and what was written over are left out", () => {
  expect(plainLine("\u001b[31;1mred\u001b[0m\r")).toBe("red");
  expect(plainLine("1 %\r50 %\r100 %")).toBe("100 %");
  expect(plainLine("\u001b]0;title\u0007text")).toBe("text");
});

test("a run's id has its task and its due time", () => {
  expect(readRunId("go@ld@20261121T023000Z.12")).toEqual({ task: "go@ld", dueUs: 1_795_228_200_000_000 });
  expect(readRunId("backup@20261121T023000Z.d8bd20ed")).toEqual({ task: "backup", dueUs: 1_795_228_200_000_000 });
  expect(readRunId("backup@0199a3ce-929d-4e0e-8736-0199a3ce929d")).toEqual({ task: "backup", dueUs: undefined });
  for (const id of ["", "gold", "gold@2026.1", "@20261121T023000Z.1", "gold@20261121T023000Z"]) expect(readRunId(id)).toBeUndefined();
});

test("the first lines of an error stand for it", () => {
  expect(firstLines("a\nb\nc\n", 2)).toEqual({ text: "a\nb", more: 1 });
  expect(firstLines("a", 2)).toEqual({ text: "a", more: 0 });
});
