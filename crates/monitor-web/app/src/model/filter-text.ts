/** Converts filters to and from one line of text: `name:"nightly import" batch:7 timed out`. */
import { type Filters, withFilter } from "./filters.ts";
import { isState } from "./state.ts";

/** Filters that can be written as `name:value`. */
const NAMED = ["name", "batch", "state", "worker"] as const;
/** Returns the filters that are only shown in the line; the others have their own tabs and buttons, also a worker that is chosen by its id. */
function shownIn({ worker }: Filters): readonly ("name" | "batch" | "worker")[] {
  return worker === undefined || isWorkerId(worker) ? ["name", "batch"] : ["name", "batch", "worker"];
}

/** True if the text is a worker's id, and not its name or host. */
export function isWorkerId(text: string): boolean {
  return /^[0-9a-f]{32}$/.test(text);
}

const TERM = /(?<!\S)(name|batch|state|worker):("(?:[^"\\]|\\.)*"|\S*)/g;

export function filterText(filters: Filters): string {
  const terms = shownIn(filters).flatMap((key) => (filters[key] === undefined ? [] : [`${key}:${quoted(filters[key])}`]));
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
  for (const key of [...shownIn(filters), "q"] as const) next = withFilter(next, key, "");
  const rest = text.replace(TERM, (_, key: (typeof NAMED)[number], value: string) => {
    next = withFilter(next, key, unquoted(value));
    return " ";
  });
  return withFilter(next, "q", rest.trim());
}

/** A word of the text that has the form of a term. Addresses such as `http://…`, and paths such as `std::io` and `c:\…`, have not. */
const UNKNOWN_TERM = /(?<!\S)([a-z_]+):(?!\/\/|[:\\])(?=\S)/gi;

/** Returns states that do not exist, and keys of terms that are searched as text because no filter has them. */
export function mistakesIn({ state = "", q = "" }: Filters): { states: string[]; keys: string[] } {
  const states = state.split(",").filter((each) => each !== "" && each !== "retrying" && !isState(each));
  const keys = [...q.matchAll(UNKNOWN_TERM)].map(([, key = ""]) => key);
  return { states: [...new Set(states)], keys: [...new Set(keys)] };
}
