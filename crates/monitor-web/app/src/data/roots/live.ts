/** All roots that the stream has reported as changed since the page was opened. */
import type { Root } from "../../api/types.ts";
import type { Dated } from "../../live/messages.ts";
import { type LiveModel, putNewest, tellChanged } from "../live.ts";
import { queryClient } from "../query.ts";

/** Above this number the lists are read again instead. */
const MOST = 5000;

const roots = new Map<string, Dated<Root>>();
/** Numbers of deleted roots; numbers are never reused. A list that was read earlier still contains these roots. */
const dropped = new Set<number>();
/** Ids of deleted roots that the stream had reported before. */
const droppedIds = new Set<string>();

export const live: LiveModel<"root"> = {
  name: "root",
  take: (dated) => void putNewest(roots, dated.model.root_id, dated),
  drop: (numbers) => {
    for (const number of numbers) dropped.add(number);
    for (const [id, { model }] of roots) if (dropped.has(model.number) && roots.delete(id)) droppedIds.add(id);
    tellChanged();
  },
  isFull: () => roots.size > MOST || dropped.size > MOST,
  readAgain: () => {
    for (const each of [roots, dropped, droppedIds]) each.clear();
    for (const list of ["roots", "names", "status"]) void queryClient.invalidateQueries({ queryKey: [list] });
  },
};

export function liveRoots(): ReadonlyMap<string, Dated<Root>> {
  return roots;
}

/** Returns the numbers of deleted roots. */
export function droppedRoots(): ReadonlySet<number> {
  return dropped;
}

/** Returns true if a root that the stream had reported is deleted. */
export function wasDropped(id: string): boolean {
  return droppedIds.has(id);
}
