import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { readDuration, readMilliseconds } from "./duration.ts";
import { duration } from "./time.ts";

/** Returns the cases of a kind from the table: text and nanoseconds. */
function cases(kind: string): [text: string, nanoseconds: string][] {
  const table = readFileSync(new URL("../../../../monitor-duration/cases.txt", import.meta.url), "utf8");
  const lines = table.split("\n").filter((line) => line.startsWith(`${kind} `));
  return lines.map((line) => line.slice(kind.length).split('"')).map(([before = "", text = "", after = ""]) => [text, (before + after).trim()]);
}

test("durations are read as the server and the command line read them", () => {
  for (const [text, nanoseconds] of cases("read")) expect(readDuration(text), text).toBe(BigInt(nanoseconds));
  for (const [text] of cases("refuse")) expect(readDuration(text), text).toBeUndefined();
  for (const [text, nanoseconds] of cases("write")) expect(readDuration(text), text).toBe(BigInt(nanoseconds));
  for (const kind of ["read", "refuse", "write"]) expect(cases(kind).length, kind).toBeGreaterThan(5);
});

test("milliseconds are whole and more than zero", () => {
  expect(["1ms", "1h 30m", "1us", "1.0001ms", "36500d"].map(readMilliseconds)).toEqual([1, 5_400_000, 1, 2, 3_153_600_000_000]);
  expect(["", "0s", "0.1ns", "10", "soon"].map(readMilliseconds)).toEqual([undefined, undefined, undefined, undefined, undefined]);
});

test("measured durations are shown as the command line shows them", () => {
  // JavaScript numbers are exact up to 104 days in nanoseconds. The page uses the Greek letter as the micro sign.
  const shown = (nanoseconds: string) => duration(Number(nanoseconds)).replaceAll("\u2009", " ").replace("\u03bc", "\u00b5").replaceAll(",", "");
  for (const [text, nanoseconds] of cases("rounded")) expect(shown(nanoseconds), nanoseconds).toBe(text);
  expect(cases("rounded").length).toBeGreaterThan(20);
});
