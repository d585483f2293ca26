import type { InfiniteData, UseInfiniteQueryResult } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import type { QueueTasksPage } from "../../api/types.ts";

export const LIMIT = 100;
/** The server's maximum time for one page of a search is one second. Lists that took several requests are refreshed less often. */
const REST_MS = 10_000;

const isShort = (page: QueueTasksPage) => page.next_cursor !== undefined && page.tasks.length < LIMIT;

/** Returns the interval for refreshing a list that is otherwise refreshed after `ms`. */
export function restOf(data: InfiniteData<QueueTasksPage> | undefined, ms: number): number {
  return ms + REST_MS * (data?.pages.filter(isShort).length ?? 0);
}

interface SearchOn {
  /** Number of examined tasks so far, if the search takes long. */
  examined: number | undefined;
  isSearching: boolean;
  stop: () => void;
  more: () => void;
}

/**
 * Continues a search that the server ended because of its time limit, until there is another page of tasks, the list ends, or `stop` is
 * called. `list` identifies the list: another one starts anew.
 */
export function useSearchOn(list: string, { data, hasNextPage, isFetching, isError, fetchNextPage }: UseInfiniteQueryResult<InfiniteData<QueueTasksPage>>): SearchOn {
  const [asked, setAsked] = useState({ list, wanted: LIMIT, isStopped: false });
  const { wanted, isStopped } = asked.list === list ? asked : { wanted: LIMIT, isStopped: false };
  const pages = data?.pages ?? [];
  const found = pages.reduce((sum, { tasks }) => sum + tasks.length, 0);
  const goesOn = hasNextPage && !isStopped && !isError && found < wanted;
  useEffect(() => {
    if (goesOn && !isFetching) void fetchNextPage();
  }, [goesOn, isFetching, fetchNextPage]);
  const last = pages.at(-1);
  const isLong = last !== undefined && isShort(last);
  return {
    examined: isLong ? pages.reduce((sum, { examined }) => sum + (examined ?? 0), 0) : undefined,
    isSearching: goesOn && isLong,
    stop: () => setAsked({ list, wanted, isStopped: true }),
    more: () => setAsked({ list, wanted: found + LIMIT, isStopped: false }),
  };
}
