/** Checks the contrast of every text colour on every background where it is used: WCAG 2.2 AA. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const css = readFileSync(new URL("./tokens.css", import.meta.url), "utf8");
const colours = new Map<string, { light: string; dark: string }>();
for (const [, name = "", light = "", dark = ""] of css.matchAll(/--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)/g)) {
  colours.set(name, { light, dark });
}

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

const TEXTS = ["text", "dim", "accent", "pending", "running", "succeeded", "failed", "cancelled", "lost"];
const GROUNDS = ["ground", "raised", "hover", "selected"];

test.each(["light", "dark"] as const)("in the %s theme all texts have a contrast of 4.5", (theme) => {
  const colour = (name: string) => colours.get(name)?.[theme] ?? "";
  const poor = [...TEXTS.flatMap((text) => GROUNDS.map((ground) => [text, ground])), ["failed", "failed-ground"], ["text", "failed-ground"]]
    .map(([text = "", ground = ""]) => ({ text, ground, contrast: contrast(colour(text), colour(ground)) }))
    .filter((pair) => !(pair.contrast >= 4.5));
  expect(poor).toEqual([]);
});

test.each(["light", "dark"] as const)("in the %s theme bars and the borders of fields have a contrast of 3", (theme) => {
  const ground = colours.get("ground")?.[theme] ?? "";
  const shapes = [...colours.keys()].filter((name) => name.startsWith("bar-") || name === "line-strong");
  const poor = shapes.filter((name) => !(contrast(colours.get(name)?.[theme] ?? "", ground) >= 3));
  expect(shapes.length).toBe(7);
  expect(poor).toEqual([]);
});
