/** Displays recorded text unchanged, except that control characters, which could hide or disturb it, are replaced by their code. */

// C0 and C1 control characters, and characters that change the text direction.
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g;

/** Formats text on one line: line breaks and tabs become spaces. */
export function visible(text: string): string {
  return text.replace(/\r?\n|\t/g, " ").replace(HIDDEN, code);
}

/** Formats text on several lines: line breaks and tabs are kept. */
export function visibleLines(text: string): string {
  return text.replace(HIDDEN, (character) => (character === "\n" || character === "\t" ? character : code(character)));
}

/** Formats a line of output: the indentation is kept, a tab has four columns. */
export function indented(text: string): string {
  return visible(text.replaceAll("\t", "    "));
}

function code(character: string): string {
  return `‹U+${character.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}›`;
}

// Marks of truncated text by the server and the launcher, at the end of the text, or before the number of a title.
const CUT = /… (?:\[(\d+) bytes cut\]|\((\d+) bytes cut\))(?=$| <[^<>]*\d+>$)/;

export interface Kept {
  /** The available text, with an ellipsis for the removed part. */
  text: string;
  /** Number of removed bytes; 0 for a complete text. */
  cutBytes: number;
}

/** Splits a text from the note that it was truncated. */
export function keptOf(text: string): Kept {
  const [note, brackets, parentheses] = CUT.exec(text) ?? [];
  return note === undefined ? { text, cutBytes: 0 } : { text: text.replace(CUT, "…"), cutBytes: Number(brackets ?? parentheses) };
}

/** Returns a truncated text with only an ellipsis as a mark. */
export function brief(text: string): string {
  const kept = keptOf(text);
  return kept.cutBytes === 0 ? text : `${kept.text}⌇`;
}

const graphemes = new Intl.Segmenter(undefined, { granularity: "grapheme" });
/** Longer than any single visible character (grapheme). */
const LONGEST_GRAPHEME = 40;

/** Minimum length of the head when the tail is kept. */
const LEAST_HEAD = 4;

/** Splits a long name so that it can be shortened in the middle, because its end is often more informative. */
export function headAndTail(text: string, tailLength = 10): [head: string, tail: string] {
  if (text.length <= tailLength + LEAST_HEAD) return [text, ""];
  // Don't split a grapheme.
  const from = Math.max(0, text.length - tailLength - LONGEST_GRAPHEME);
  const around = graphemes.segment(text.slice(from)).containing(text.length - tailLength - from);
  const cut = from + (around?.index ?? 0);
  return cut < LEAST_HEAD ? [text, ""] : [text.slice(0, cut), text.slice(cut)];
}

/** Returns a field's value on one line: strings unchanged, other values as JSON. */
export function fieldText(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
