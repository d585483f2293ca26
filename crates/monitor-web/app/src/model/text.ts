/** Displays recorded text unchanged, except that control characters, which could hide or disturb it, are replaced by their code. */

// C0 and C1 control characters, and characters that change the text direction.
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g;

/**
 * Escape sequences of terminals, complete or not: control sequences, strings such as titles and links, and all others. Every part of the
 * pattern matches what it can without going back, so that the time is linear.
 */
export const ESCAPES = /(?:\u001b\[|\u009b)[0-?]*[ -/]*[@-~]?|(?:\u001b[\]PX^_]|[\u0090\u0098\u009d-\u009f])[^\u0007\u001b\u009c\n]*(?:\u0007|\u001b\\|\u009c)?|\u001b[ -/]*[0-~]?/g;

/** Removes the escape sequences of terminals. */
export function plain(text: string): string {
  return text.replace(ESCAPES, "");
}

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

/** Splits the title of a run into its name, and its batch and number in angle brackets. */
export function splitTitle(name: string, title: string): [name: string, rest: string] {
  if (!title.startsWith(name)) return [title, ""];
  return [name, title.slice(name.length).trim()];
}

/** Returns a field's value on one line: strings unchanged, other values as JSON. */
export function fieldText(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
