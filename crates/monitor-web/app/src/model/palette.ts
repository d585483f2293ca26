/** Order and emphasis of the entries of the command palette. */

/** The groups, in the order in which they are listed. */
const GROUPS = ["ids", "actions", "tasks", "names", "alerts", "runs", "workers", "sections"] as const;

export interface Entry {
  group: (typeof GROUPS)[number];
  text: string;
  /** True if the server found it for the typed text. */
  isFound?: boolean;
}

/**
 * Puts entries into groups. Groups with an entry that begins with the typed text precede the others, and of these the ones that are known
 * without the server, so that its response doesn't move them.
 */
export function grouped<E extends Entry>(entries: readonly E[], typed: string): { group: E["group"]; entries: E[] }[] {
  const rank = (entry: E) => (isCertain(entry, typed) ? 0 : begins(entry, typed) ? 1 : 2);
  return GROUPS.map((group) => ({ group, entries: entries.filter((entry) => entry.group === group) }))
    .filter(({ entries: own }) => own.length > 0)
    .sort((a, b) => Math.min(...a.entries.map(rank)) - Math.min(...b.entries.map(rank)));
}

/** Returns true if no response of the server can put another entry before this one. */
export function isCertain(entry: Entry, typed: string): boolean {
  return !entry.isFound && (entry.group === "ids" || begins(entry, typed));
}

function begins({ text }: Entry, typed: string): boolean {
  return text.toLowerCase().startsWith(typed.toLowerCase());
}

/** Returns true if a text contains all typed words, in any order. */
export function matches(text: string, typed: string): boolean {
  const within = text.toLowerCase();
  return wordsOf(typed).every((word) => within.includes(word));
}

export interface Part {
  text: string;
  isMatch: boolean;
}

/** Splits a text into the typed parts and the rest: the typed text as a whole or, if it doesn't occur, each of its words. */
export function partsOf(text: string, typed: string): Part[] {
  const within = text.toLowerCase();
  const whole = typed.trim().toLowerCase();
  // A few letters change their length with their case: places would differ.
  if (whole === "" || within.length !== text.length) return [{ text, isMatch: false }];
  const parts: Part[] = [];
  const found = (within.includes(whole) ? [whole] : wordsOf(whole)).map((word) => ({ from: within.indexOf(word), to: within.indexOf(word) + word.length }));
  let end = 0;
  for (const { from, to } of found.filter(({ from }) => from >= 0).sort((a, b) => a.from - b.from)) {
    if (to <= end) continue;
    if (from > end) parts.push({ text: text.slice(end, from), isMatch: false });
    parts.push({ text: text.slice(Math.max(from, end), to), isMatch: true });
    end = to;
  }
  if (end < text.length) parts.push({ text: text.slice(end), isMatch: false });
  return parts;
}

/** Returns `gold` for the typed text `run gold` or `run gold now`, if the words of the action are `Run … now`. */
export function taskIn(typed: string, [before = "", after = ""]: readonly string[]): string | undefined {
  const [start, end] = [before.trim().toLowerCase(), after.trim().toLowerCase()];
  const rest = typed.slice(start.length);
  // A Latin word ends with a space; Chinese has none.
  if (!typed.toLowerCase().startsWith(start) || (/\w$/.test(start) && !rest.startsWith(" "))) return undefined;
  const task = (end !== "" && rest.toLowerCase().endsWith(` ${end}`) ? rest.slice(0, -end.length) : rest).trim();
  return task === "" ? undefined : task;
}

function wordsOf(typed: string): string[] {
  return typed.toLowerCase().split(/\s+/).filter((word) => word !== "");
}
