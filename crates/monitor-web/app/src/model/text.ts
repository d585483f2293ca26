/** What came in is data: shown as it is, with the characters that would hide or disturb replaced by their code. */

// C0 and C1 controls, and the marks that turn the direction of everything after them.
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g;

/** One line: a line end or a tab becomes a space. */
export function visible(text: string): string {
  return text.replace(/\r?\n|\t/g, " ").replace(HIDDEN, code);
}

/** Several lines: line ends and tabs stay. */
export function visibleLines(text: string): string {
  return text.replace(HIDDEN, (character) => (character === "\n" || character === "\t" ? character : code(character)));
}

/** A line of output in one row: its indentation stays, a tab is four columns wide. */
export function indented(text: string): string {
  return visible(text.replaceAll("\t", "    "));
}

function code(character: string): string {
  return `‹U+${character.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}›`;
}

// As the server and the launcher say it, at the end of a text; or before the number of a title.
const CUT = /… (?:\[(\d+) bytes cut\]|\((\d+) bytes cut\))(?=$| <[^<>]*\d+>$)/;

export interface Kept {
  /** What there is of it, with an ellipsis where the rest was. */
  text: string;
  /** How many bytes were cut, 0 for a whole text. */
  cutBytes: number;
}

/** Tells a text from the note that it was too long and was cut. */
export function keptOf(text: string): Kept {
  const [note, brackets, parentheses] = CUT.exec(text) ?? [];
  return note === undefined ? { text, cutBytes: 0 } : { text: text.replace(CUT, "…"), cutBytes: Number(brackets ?? parentheses) };
}

/** A cut text where there is no room for more than a mark of it. */
export function brief(text: string): string {
  const kept = keptOf(text);
  return kept.cutBytes === 0 ? text : `${kept.text}⌇`;
}

const graphemes = new Intl.Segmenter(undefined, { granularity: "grapheme" });
/** Longer than what people see as one character. */
const LONGEST_GRAPHEME = 40;

/** What is left of a head that gives way to the tail. */
const LEAST_HEAD = 4;

/** Splits a long name so that it can be cut in the middle: the end often tells more than the middle. */
export function headAndTail(text: string, tailLength = 10): [head: string, tail: string] {
  if (text.length <= tailLength + LEAST_HEAD) return [text, ""];
  // What is seen as one character is not torn apart.
  const from = Math.max(0, text.length - tailLength - LONGEST_GRAPHEME);
  const around = graphemes.segment(text.slice(from)).containing(text.length - tailLength - from);
  const cut = from + (around?.index ?? 0);
  return cut < LEAST_HEAD ? [text, ""] : [text.slice(0, cut), text.slice(cut)];
}

/** A field's value on one line: strings as they are, everything else as JSON. */
export function fieldText(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
