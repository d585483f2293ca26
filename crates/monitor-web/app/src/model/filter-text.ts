/** The filters as one line of text, as one types them: `name:"nightly import" batch:7 timed out`. */
import { type Filters, withFilter } from "./filters.ts";

/** What can be asked for by its name. */
const NAMED = ["name", "batch", "state", "worker"] as const;
/** Of these the line is the only place; the others have tabs and buttons of their own. */
const SHOWN = ["name", "batch"] as const;

const TERM = /(?<!\S)(name|batch|state|worker):("(?:[^"\\]|\\.)*"|\S*)/g;

export function filterText(filters: Filters): string {
  const terms = SHOWN.flatMap((key) => (filters[key] === undefined ? [] : [`${key}:${quoted(filters[key])}`]));
  // Text that reads like a term is told apart by quotes around all of it.
  const q = filters.q ?? "";
  return [...terms, q].filter((each) => each !== "").join(" ");
}

function quoted(value: string): string {
  return /^[^\s"\\]+$/.test(value) ? value : `"${value.replace(/["\\]/g, "\\$&")}"`;
}

function unquoted(value: string): string {
  return value.startsWith('"') ? value.slice(1, value.endsWith('"') && value.length > 1 ? -1 : undefined).replace(/\\(.)/g, "$1") : value;
}

/** The filters that a line asks for; what it doesn't speak of stays as it is, save for what only the line can say. */
export function withText(filters: Filters, text: string): Filters {
  let next = filters;
  for (const key of [...SHOWN, "q"] as const) next = withFilter(next, key, "");
  const rest = text.replace(TERM, (_, key: (typeof NAMED)[number], value: string) => {
    next = withFilter(next, key, unquoted(value));
    return " ";
  });
  return withFilter(next, "q", rest.trim());
}
