/** The list of roots: loaded pages, updated by the stream. */
import type { Root } from "../api/types.ts";
import type { Dated } from "../live/messages.ts";
import { type Filters, isOldestFirst, matches, matchesState, type WorkerOf } from "./filters.ts";
import { byBegin, type Page } from "./pages.ts";

/**
 * Merges the loaded pages with changes from the stream; sorted newest first, or oldest first if the filters specify it. Roots that are not
 * in the pages are new, or belong to pages that are not loaded; the latter are not added. `held` are new roots that wait above the list so
 * that rows don't move, `dropped` are numbers of deleted roots.
 */
export function mergeRoots(
  pages: readonly Page[],
  live: ReadonlyMap<string, Dated<Root>>,
  filters: Filters,
  held: ReadonlySet<string>,
  dropped: ReadonlySet<number> = new Set(),
  workerOf?: WorkerOf,
): Root[] {
  const newest = new Map<string, Dated<Root>>();
  for (const page of pages) {
    for (const root of page.roots) newest.set(root.root_id, { model: root, asOf: page.as_of });
  }
  const [first, last] = [pages[0], pages[pages.length - 1]];
  const ends = [first?.before == null ? undefined : first.roots[0], last?.after == null ? undefined : last.roots[last.roots.length - 1]];
  const [above, below] = isOldestFirst(filters) ? ends.toReversed() : ends;
  const isWithin = (root: Root) => (!above || byBegin(root, above) < 0) && (!below || byBegin(root, below) > 0);
  for (const [id, dated] of live) {
    const known = newest.get(id);
    const isNew = !known && isWithin(dated.model) && !held.has(id) && matches(filters, dated.model, workerOf);
    if (isNew || (known && dated.asOf > known.asOf)) newest.set(id, dated);
  }
  // The server has applied the other filters when it selected the pages.
  const roots = [...newest.values()].map((dated) => dated.model).filter((root) => matchesState(filters, root) && !dropped.has(root.number));
  return roots.sort(isOldestFirst(filters) ? byBegin : (a, b) => byBegin(b, a));
}

/** Returns the number of new roots that wait. */
export function countHeld(live: ReadonlyMap<string, Dated<Root>>, filters: Filters, held: ReadonlySet<string>, workerOf?: WorkerOf): number {
  let count = 0;
  for (const id of held) {
    const root = live.get(id)?.model;
    if (root && matches(filters, root, workerOf)) count += 1;
  }
  return count;
}
