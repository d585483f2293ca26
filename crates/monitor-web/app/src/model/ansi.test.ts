import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { type Look, pieces, styleOf } from "./ansi.ts";
import { plain } from "./text.ts";

const ESC = "\u001b";
const sgr = (codes: string) => `${ESC}[${codes}m`;
const looks = (text: string) => pieces(text).map(({ text: of, look }) => [of, look]);

test("colours and attributes last until they are reset", () => {
  expect(looks(`a${sgr("31")}b${sgr("1;4")}c${sgr("0")}d`)).toEqual([
    ["a", {}],
    ["b", { fg: [205, 49, 49] }],
    ["c", { fg: [205, 49, 49], bold: true, underline: true }],
    ["d", {}],
  ]);
  expect(looks(`${sgr("1;2;3;4;7")}a${sgr("22;23;24;27")}b`)).toEqual([
    ["a", { bold: true, dim: true, italic: true, underline: true, inverse: true }],
    ["b", { bold: false, dim: false, italic: false, underline: false, inverse: false }],
  ]);
  expect(looks(`${sgr("32;41")}a${sgr("39")}b${sgr("49")}c${sgr("")}d`).map(([, look]) => Object.keys(look as Look))).toEqual([["fg", "bg"], ["bg"], []]);
  expect(pieces("plain")).toEqual([{ text: "plain", look: {} }]);
  expect(pieces("")).toEqual([]);
});

test.each([
  ["38;5;9", [241, 76, 76]],
  ["38;5;16", [0, 0, 0]],
  ["38;5;196", [255, 0, 0]],
  ["38;5;231", [255, 255, 255]],
  ["38;5;232", [8, 8, 8]],
  ["38;5;255", [238, 238, 238]],
  ["38:5:196", [255, 0, 0]],
  ["38;2;1;2;3", [1, 2, 3]],
  ["38:2:1:2:3", [1, 2, 3]],
  ["38:2::1:2:3", [1, 2, 3]],
  ["97", [255, 255, 255]],
  ["38;5;256", undefined],
  ["38;2;1;2", undefined],
  ["38;2;1;2;999", undefined],
  ["38;5", undefined],
  ["38", undefined],
  ["38;5;99999999999999999999999", undefined],
  [`38;5;${"9".repeat(10_000)}`, undefined],
  ["31;38;9;1", [205, 49, 49]],
])("the colour of %s", (codes, fg) => {
  expect(pieces(`${sgr(codes)}x`)[0]?.look.fg).toEqual(fg);
});

test("values of a colour are not taken for codes of their own", () => {
  expect(pieces(`${sgr("38;5;1;4")}x`)[0]?.look).toEqual({ fg: [205, 49, 49], underline: true });
  expect(pieces(`${sgr("48;2;1;3;4")}x`)[0]?.look).toEqual({ bg: [1, 3, 4] });
});

test.each([
  [`a${ESC}[2Kb${ESC}[1;5Hc`, "abc"],
  [`${ESC}]0;title\u0007a${ESC}]8;;http://x${ESC}\\link${ESC}]8;;${ESC}\\`, "alink"],
  [`a${ESC}(Bb${ESC}=c${ESC}7d`, "abcd"],
  [`a${ESC}P1$r0m${ESC}\\b`, "ab"],
  [`a\u009b31mb`, "ab"],
  [`a\u009d0;title\u009cb`, "ab"],
  // Unfinished.
  [`a${ESC}`, "a"],
  [`a${ESC}[`, "a"],
  [`a${ESC}[31`, "a"],
  [`a${ESC}[31\nb`, "a\nb"],
  [`a${ESC}]0;title\nb`, "a\nb"],
  [`a${ESC}${ESC}[31mb`, "ab"],
  [`[31m`, "[31m"],
])("of %j the text is left", (text, left) => {
  expect(pieces(text).map((piece) => piece.text).join("")).toBe(left);
  expect(plain(text)).toBe(left);
});

test("a sequence that only looks like a colour changes nothing", () => {
  for (const other of ["?31m", ">4;2m", "31 m", "31J"]) expect(pieces(`${ESC}[${other}x`)).toEqual([{ text: "x", look: {} }]);
});

test.each([
  ["colours", sgr("31").repeat(200_000)],
  ["unfinished sequences", `${ESC}[`.repeat(500_000)],
  ["a sequence without an end", `${ESC}[${"1;".repeat(500_000)}`],
  ["a sequence of many codes", `${ESC}[${"1;".repeat(500_000)}m`],
  ["strings without an end", `${ESC}]`.repeat(500_000)],
  ["a string without an end", `${ESC}]${"x".repeat(1_000_000)}`],
  ["intermediate characters", `${ESC}${" ".repeat(1_000_000)}`],
])("a megabyte of %s is read before the test times out, as it would not be in quadratic time", (_, text) => {
  expect(pieces(text)).toEqual([]);
  expect(plain(text)).toBe("");
});

test("the number of pieces is limited, and no text is lost", () => {
  const text = Array.from({ length: 20_000 }, (_, at) => `${sgr(String(31 + (at % 2)))}x`).join("");
  const found = pieces(text);
  expect(found.length).toBe(500);
  expect(found.map((piece) => piece.text).join("")).toBe("x".repeat(20_000));
});

test("sequences that change nothing make no pieces", () => {
  expect(pieces(`a${sgr("0")}b${sgr("31")}${sgr("0")}c`)).toEqual([{ text: "abc", look: {} }]);
});

const css = readFileSync(new URL("../ui/tokens.css", import.meta.url), "utf8");
const token = (name: string) => (new RegExp(`--${name}: light-dark\\((#\\w{6}), (#\\w{6})\\)`).exec(css) ?? []).slice(1);

function luminance(colour: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((at) => {
    const part = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(one: string, other: string): number {
  const [low = 0, high = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}

const ALL = [...Array.from({ length: 256 }, (_, index) => `5;${index}`), "2;128;128;128", "2;255;255;0", "2;0;0;255"];
const lookOf = (codes: string) => pieces(`${sgr(codes)}x`)[0]?.look ?? {};

test("every colour can be read on every ground of a line, in both themes", () => {
  const poor: string[] = [];
  for (const codes of ALL) {
    const colours = styleOf(lookOf(`38;${codes}`))?.["color"]?.match(/#\w{6}/g) ?? [];
    expect(colours.length).toBe(2);
    for (const ground of ["ground", "raised", "hover", "selected"]) {
      token(ground).forEach((on, theme) => {
        if (!(contrast(colours[theme] as string, on) >= 4.5)) poor.push(`${codes} on ${ground} ${theme}`);
      });
    }
  }
  expect(poor).toEqual([]);
});

test("every colour can be read on every other, and the default on each, also inversed", () => {
  const poor: string[] = [];
  const check = (codes: string) => {
    const { color = "", background = "" } = styleOf(lookOf(codes)) ?? {};
    if (!(contrast(color, background) >= 4.5)) poor.push(`${codes}: ${color} on ${background}`);
  };
  for (const one of ALL) {
    for (const other of ["5;0", "5;1", "5;2", "5;3", "5;4", "5;7", "5;8", "5;15", "2;118;118;118"]) check(`38;${one};48;${other}`);
    check(`48;${one}`);
    check(`7;38;${one}`);
  }
  expect(poor).toEqual([]);
  expect(styleOf({ inverse: true })).toEqual({ background: "var(--text)", color: "var(--ground)" });
  expect(styleOf({ bold: false })).toBeUndefined();
});
