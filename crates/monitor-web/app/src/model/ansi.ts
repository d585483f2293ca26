/** Parses the colours of terminal output (SGR). All other escape sequences are removed. Pure. */
import { ESCAPES } from "./text.ts";

type Rgb = readonly [red: number, green: number, blue: number];

/** Text attributes; a colour that is not set is the terminal's default. */
export interface Look {
  fg?: Rgb;
  bg?: Rgb;
  bold?: boolean;
  dim?: boolean;
  italic?: boolean;
  underline?: boolean;
  inverse?: boolean;
}

export interface Piece {
  text: string;
  look: Look;
}

/** Maximum number of pieces of a text, because each is an element of the page; the rest has the look of the last one. */
const MOST_PIECES = 500;

const hex = (code: string): Rgb => [0, 2, 4].map((at) => Number.parseInt(code.slice(at, at + 2), 16)) as unknown as Rgb;
/** The 16 colours of a terminal: black, red, green, yellow, blue, magenta, cyan, white, and their bright variants. */
const BASIC = ["000000", "cd3131", "0f9d58", "b58900", "2472c8", "bc3fbc", "11a8cd", "cccccc", "767676", "f14c4c", "23d18b", "e5c07b", "3b8eea", "d670d6", "29b8db", "ffffff"].map(hex);

/** Splits a text into pieces of the same look, in linear time. */
export function pieces(text: string): Piece[] {
  const found: Piece[] = [];
  let look: Look = {};
  let from = 0;
  const add = (piece: string) => {
    const last = found[found.length - 1];
    if (piece === "") return;
    if (last && (same(last.look, look) || found.length >= MOST_PIECES)) last.text += piece;
    else found.push({ text: piece, look });
  };
  for (const match of text.matchAll(ESCAPES)) {
    add(text.slice(from, match.index));
    from = match.index + match[0].length;
    // Only a complete sequence of digits and separators sets a look.
    const [, codes] = /^(?:\u001b\[|\u009b)([\d;:]*)m$/.exec(match[0]) ?? [];
    if (codes !== undefined) look = looked(look, codes);
  }
  add(text.slice(from));
  return found;
}

/** Returns the look after the codes of a sequence. */
function looked(before: Look, codes: string): Look {
  let look: Look = { ...before };
  const fields = codes.split(";");
  for (let at = 0; at < fields.length; at += 1) {
    const [code = 0, ...parts] = (fields[at] as string).split(":").map(Number);
    if (code === 38 || code === 48) {
      // `38:2::r:g:b` and `38:5:n` have their values in one field; `38;2;r;g;b` and `38;5;n` in the following ones.
      const isJoined = parts.length > 0;
      const [kind, ...values] = isJoined ? parts : fields.slice(at + 1, at + 5).map(Number);
      const colour = kind === 5 ? indexed(values[0]) : kind === 2 ? trueColour(isJoined ? values.slice(-3) : values) : undefined;
      if (!isJoined) at += kind === 5 ? 2 : kind === 2 ? 4 : 1;
      if (colour) look[code === 38 ? "fg" : "bg"] = colour;
    } else if (code === 0) look = {};
    else look = simple(look, code, parts[0]);
  }
  return look;
}

function simple(look: Look, code: number, part: number | undefined): Look {
  const { fg: _fg, ...withoutFg } = look;
  const { bg: _bg, ...withoutBg } = look;
  if (code === 1) return { ...look, bold: true };
  if (code === 2) return { ...look, dim: true };
  if (code === 3 || code === 23) return { ...look, italic: code === 3 };
  if (code === 4 || code === 21) return { ...look, underline: part !== 0 };
  if (code === 24) return { ...look, underline: false };
  if (code === 7 || code === 27) return { ...look, inverse: code === 7 };
  if (code === 22) return { ...look, bold: false, dim: false };
  if (code === 39) return withoutFg;
  if (code === 49) return withoutBg;
  if ((code >= 30 && code <= 37) || (code >= 90 && code <= 97)) return { ...look, fg: BASIC[code < 90 ? code - 30 : code - 82] as Rgb };
  if ((code >= 40 && code <= 47) || (code >= 100 && code <= 107)) return { ...look, bg: BASIC[code < 100 ? code - 40 : code - 92] as Rgb };
  return look;
}

const KEYS = ["fg", "bg", "bold", "dim", "italic", "underline", "inverse"] as const;

function same(one: Look, other: Look): boolean {
  return KEYS.every((key) => (one[key] || undefined) === (other[key] || undefined));
}

/** A colour of the palette of 256: 16 basic ones, a cube of 216, and 24 shades of grey. */
function indexed(index: number | undefined): Rgb | undefined {
  if (index === undefined || !Number.isInteger(index) || index < 0 || index > 255) return undefined;
  if (index < 16) return BASIC[index];
  if (index >= 232) return [0, 1, 2].map(() => 8 + (index - 232) * 10) as unknown as Rgb;
  const level = (step: number) => (step === 0 ? 0 : 55 + step * 40);
  const at = index - 16;
  return [level(Math.floor(at / 36)), level(Math.floor(at / 6) % 6), level(at % 6)];
}

function trueColour(values: readonly number[]): Rgb | undefined {
  return values.length === 3 && values.every((each) => Number.isInteger(each) && each >= 0 && each <= 255) ? (values as unknown as Rgb) : undefined;
}

/** The ground of the page that leaves the least contrast in each theme: that of a selected line. */
const GROUNDS: readonly [light: Rgb, dark: Rgb] = [hex("eaeefa"), hex("1b2233")];
/** WCAG 2.2 AA, with a margin for rounding. */
const LEAST_CONTRAST = 4.6;

function luminance(colour: Rgb): number {
  const [r, g, b] = colour.map((each) => (each <= 10 ? each / 255 / 12.92 : ((each / 255 + 0.055) / 1.055) ** 2.4)) as unknown as Rgb;
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(one: Rgb, other: Rgb): number {
  const [a, b] = [luminance(one), luminance(other)];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}

/** Returns the colour, darkened or lightened until it can be read on a ground. */
function readable(colour: Rgb, ground: Rgb): Rgb {
  // Of black and white, one has a contrast of at least 4.58 with every colour.
  const target = luminance(ground) > 0.18 ? 0 : 255;
  let found = colour;
  for (let part = 0; part <= 1 && contrast(found, ground) < LEAST_CONTRAST; part += 0.05) {
    found = colour.map((each) => Math.round(each + (target - each) * part)) as unknown as Rgb;
  }
  return contrast(found, ground) < LEAST_CONTRAST ? [target, target, target] : found;
}

const css = (colour: Rgb) => `#${colour.map((each) => each.toString(16).padStart(2, "0")).join("")}`;

/** Returns the style of a piece; colours are adjusted so that they can be read in both themes. Undefined if it has none. */
export function styleOf({ fg, bg, bold, dim, italic, underline, inverse }: Look): Record<string, string> | undefined {
  const style: Record<string, string> = {};
  const [text, ground] = inverse ? [bg, fg] : [fg, bg];
  if (ground) {
    style["background"] = css(ground);
    style["color"] = css(readable(text ?? (luminance(ground) > 0.18 ? [0, 0, 0] : [255, 255, 255]), ground));
  } else if (inverse) {
    style["background"] = "var(--text)";
    style["color"] = text ? `light-dark(${css(readable(text, hex("18191b")))}, ${css(readable(text, hex("e8e9eb")))})` : "var(--ground)";
  } else if (text) style["color"] = `light-dark(${GROUNDS.map((each) => css(readable(text, each))).join(", ")})`;
  else if (dim) style["color"] = "var(--dim)";
  if (bold) style["fontWeight"] = "700";
  else if (dim) style["fontWeight"] = "300";
  if (italic) style["fontStyle"] = "italic";
  if (underline) style["textDecoration"] = "underline";
  return Object.keys(style).length === 0 ? undefined : style;
}
