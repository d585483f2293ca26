/** All roots that changed since the page was opened, as the stream told. */
import type { Root } from "../../api/types.ts";
import type { Dated } from "../../live/messages.ts";
import { type LiveModel, putNewest, tellChanged } from "../live.ts";
import { queryClient } from "../query.ts";

/** Beyond this many the lists are read again instead. */
const MOST = 5000;

const roots = new Map<string, Dated<Root>>();
/** By their numbers, which no other root gets. A list that was read before they went still has them. */
const dropped = new Set<number>();
/** The ids of those among them that the stream had told of. */
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

/** The numbers of those that are no longer kept. */
export function droppedRoots(): ReadonlySet<number> {
  return dropped;
}

/** Whether a root that the stream told of is no longer kept. */
export function wasDropped(id: string): boolean {
  return droppedIds.has(id);
}
