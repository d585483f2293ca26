/**
 * A long list as a window of pages: those far from what is looked at are let go and read again when one comes back. A cursor is the
 * number of a root, so that any page can be read from either side, and from anywhere.
 */
import type { Root, RootPage } from "../api/types.ts";

export interface Page {
  roots: Root[];
  as_of: number;
  /** Where its first root stands in the whole list, as far as is known. */
  index: number;
  /** The cursors of what stands before it and after it; null where nothing does. */
  before: string | null;
  after: string | null;
}

export interface PageParam {
  cursor?: string;
  index: number;
  /** What stands before the cursor is meant: it is read in the other order. */
  back?: boolean;
}

export function pageOf({ roots, as_of, next_cursor }: RootPage, { cursor, index, back }: PageParam): Page {
  if (back) {
    const turned = roots.toReversed();
    return { roots: turned, as_of, index: next_cursor == null ? 0 : Math.max(0, index - roots.length), before: next_cursor ?? null, after: String(turned.at(-1)?.number ?? cursor) };
  }
  return { roots, as_of, index, before: cursor === undefined ? null : String(roots[0]?.number ?? cursor), after: next_cursor ?? null };
}

export function paramAfter({ after, index, roots }: Page): PageParam | undefined {
  return after === null ? undefined : { cursor: after, index: index + roots.length };
}

export function paramBefore({ before, index }: Page): PageParam | undefined {
  return before === null ? undefined : { cursor: before, index, back: true };
}

/** Where to begin for a row that is far before the first one that is there: as numbers go on evenly, more or less. `edge` is that of the list's first root. */
export function paramAt(index: number, first: Page, edge: number): PageParam {
  const number = first.roots[0]?.number ?? edge;
  if (index < first.roots.length || first.index === 0) return { index: 0 };
  return { cursor: String(Math.round(edge - ((edge - number) * index) / first.index) + 1), index };
}

/** The number of the newest root that began by a time, by halves: numbers rise with the time, nearly. `near` is the newest root up to a number. */
export async function numberAt(timeUs: number, oldest: number, newest: number, near: (number: number) => Promise<Root | undefined>): Promise<number> {
  let [low, high] = [oldest, newest];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    const root = await near(middle);
    if (root && (root.started_us ?? Infinity) > timeUs) high = Math.max(low, Math.min(root.number, middle) - 1);
    else low = middle;
  }
  return low;
}
