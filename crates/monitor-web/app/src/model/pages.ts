/**
 * A long list as a window of pages: those far from what is looked at are let go and read again when one comes back. A cursor is the
 * place of a root, its start and its number, so that any page can be read from either side, and from any time.
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
  /** How many stand before the page, where no cursor says where it begins. */
  offset?: number;
  index: number;
  /** What stands before the cursor is meant: it is read in the other order. */
  back?: boolean;
}

/** When a root began, as far as that is known: what the list is ordered by. */
function begun({ started_us, begun_us }: Pick<Root, "started_us" | "begun_us">): number {
  return started_us ?? begun_us ?? 0;
}

/** Negative if the first root began before the second. */
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

/** Where to begin for a row that is far before the first one that is there. */
export function paramAt(index: number): PageParam {
  return index > 0 ? { offset: index, index } : { index: 0 };
}

/** Where the roots begin that began by a time, or from it on if the oldest come first. */
export function paramOfTime(timeUs: number, oldestFirst: boolean): PageParam {
  return { cursor: `${timeUs}.${oldestFirst ? 0 : Number.MAX_SAFE_INTEGER}`, index: 0 };
}
