/** Converts filters to and from one line of text: `name:"nightly import" batch:7 timed out`. */
import { type Filters, withFilter } from "./filters.ts";

/** Filters that can be written as `name:value`. */
const NAMED = ["name", "batch", "state", "worker"] as const;
/** Filters that are only shown in the line; the others have their own tabs and buttons. */
const SHOWN = ["name", "batch"] as const;

const TERM = /(?<!\S)(name|batch|state|worker):("(?:[^"\\]|\\.)*"|\S*)/g;

export function filterText(filters: Filters): string {
  const terms = SHOWN.flatMap((key) => (filters[key] === undefined ? [] : [`${key}:${quoted(filters[key])}`]));
  // Free text that looks like a term is enclosed in quotes.
  const q = filters.q ?? "";
  return [...terms, q].filter((each) => each !== "").join(" ");
}

function quoted(value: string): string {
  return /^[^\s"\\]+$/.test(value) ? value : `"${value.replace(/["\\]/g, "\\$&")}"`;
}

function unquoted(value: string): string {
  return value.startsWith('"') ? value.slice(1, value.endsWith('"') && value.length > 1 ? -1 : undefined).replace(/\\(.)/g, "$1") : value;
}

/** Applies a line to filters. Filters that the line does not mention stay unchanged, except those that are only shown in the line. */
export function withText(filters: Filters, text: string): Filters {
  let next = filters;
  for (const key of [...SHOWN, "q"] as const) next = withFilter(next, key, "");
  const rest = text.replace(TERM, (_, key: (typeof NAMED)[number], value: string) => {
    next = withFilter(next, key, unquoted(value));
    return " ";
  });
  return withFilter(next, "q", rest.trim());
}
