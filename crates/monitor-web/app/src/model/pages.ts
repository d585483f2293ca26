/**
 * A long list as a window of pages: pages far from the view are dropped, and read again when they are needed. A cursor is the position of a
 * root (start and number), so that pages can be read in both directions, and from any time.
 */
import type { Root, RootPage } from "../api/types.ts";

export interface Page {
  roots: Root[];
  as_of: number;
  /** Index of its first root in the whole list, if known. */
  index: number;
  /** Cursors of the previous and the next page; null if there is none. */
  before: string | null;
  after: string | null;
}

export interface PageParam {
  cursor?: string;
  /** Number of roots before the page, if there is no cursor. */
  offset?: number;
  index: number;
  /** True if the page before the cursor is requested; it is read in reverse order. */
  back?: boolean;
}

/** Returns the start time of a root, or the earliest known time; the list is sorted by it. */
function begun({ started_us, begun_us }: Pick<Root, "started_us" | "begun_us">): number {
  return started_us ?? begun_us ?? 0;
}

/** Compares by start time; negative if the first root started earlier. */
export function byBegin(a: Root, b: Root): number {
  return begun(a) - begun(b) || a.number - b.number;
}

function placeOf(root: Root | undefined): string | undefined {
  return root && `${begun(root)}.${root.number}`;
}

export function pageOf({ roots, as_of, next_cursor }: RootPage, { cursor, offset, index, back }: PageParam): Page {
  if (back) {
    const turned = roots.toReversed();
    return { roots: turned, as_of, index: next_cursor == null ? 0 : Math.max(0, index - roots.length), before: next_cursor ?? null, after: placeOf(turned.at(-1)) ?? cursor ?? null };
  }
  return { roots, as_of, index, before: cursor === undefined && !offset ? null : (placeOf(roots[0]) ?? cursor ?? null), after: next_cursor ?? null };
}

export function paramAfter({ after, index, roots }: Page): PageParam | undefined {
  return after === null ? undefined : { cursor: after, index: index + roots.length };
}

export function paramBefore({ before, index }: Page): PageParam | undefined {
  return before === null ? undefined : { cursor: before, index, back: true };
}

/** Returns the parameter for reading from an index that is far before the first loaded root. */
export function paramAt(index: number): PageParam {
  return index > 0 ? { offset: index, index } : { index: 0 };
}

/** Returns the parameter for reading roots that started before a time, or from it on if the oldest are first. */
export function paramOfTime(timeUs: number, oldestFirst: boolean): PageParam {
  return { cursor: `${timeUs}.${oldestFirst ? 0 : Number.MAX_SAFE_INTEGER}`, index: 0 };
}
