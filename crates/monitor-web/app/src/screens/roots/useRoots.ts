import { useInfiniteQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useReducer, useRef, useState, useSyncExternalStore } from "react";
import { fetchRoots } from "../../api/client.ts";
import type { Root } from "../../api/types.ts";
import { keptMap } from "../../data/kept.ts";
import { liveStore, wasTrueAt } from "../../data/live.ts";
import { droppedRoots, liveRoots, wasDropped } from "../../data/roots/live.ts";
import { connectionStore } from "../../live/live.ts";
import { atUs, type Filters, isOldestFirst, matches, queryOf } from "../../model/filters.ts";
import { pageOf, type PageParam, paramAfter, paramAt, paramBefore, paramOfTime } from "../../model/pages.ts";
import { countHeld, mergeRoots } from "../../model/roots.ts";

const PAGE = 100;
/** So many pages are kept around what is looked at; others are read again. */
const MOST_PAGES = 20;

export interface RootListState {
  roots: Root[];
  /** Where the first of them stands in the whole list, as far as is known. */
  index: number;
  loading: boolean;
  /** Why nothing, or nothing newer or older than what is there, could be read. */
  problem: unknown;
  retry: () => void;
  /** Whether more of them are being read. */
  loadingMore: boolean;
  loadMore: () => void;
  /** Whether there are more after those that were read. */
  hasMore: boolean;
  loadBefore: () => void;
  /** Whether there are some before those that were read. */
  hasBefore: boolean;
  /** Reads those around a place far before the ones that are there. */
  jump: (index: number) => void;
  /** Goes to the first of the whole list. */
  toTop: () => void;
  /** Whether a root belongs into the list, be it there or let go. */
  belongs: (id: string) => boolean;
  /** New ones that wait while older ones are being read. */
  held: number;
  /** Whether new ones shall wait. */
  hold: (hold: boolean) => void;
}

interface Start extends PageParam {
  /** Also if the filters ask for a time. */
  top?: boolean;
}

/** Where each list was begun, for Back and for a reload. */
const starts = keptMap<Start>("monitor-starts");
const TOP: Start = { index: 0 };

/** The roots that pass the filters, newest first, kept true by the stream. */
export function useRoots(filters: Filters): RootListState {
  // `filters` is made anew at every render; its contents decide.
  const key = JSON.stringify(filters);
  const [, redraw] = useReducer((turn: number) => turn + 1, 0);
  const start = starts.get(key) ?? TOP;
  const begin = (at: Start) => {
    starts.set(key, at);
    redraw();
  };
  const query = useInfiniteQuery({
    queryKey: ["roots", filters, start],
    queryFn: async ({ pageParam, signal }) => {
      const time = pageParam === start && !start.top && start.cursor === undefined && start.offset === undefined ? atUs(filters) : undefined;
      const param = time === undefined ? pageParam : paramOfTime(time, isOldestFirst(filters));
      const { cursor, offset, back = false } = param;
      const sort = back === isOldestFirst(filters) ? {} : { sort: "oldest" as const };
      const page = await fetchRoots({ ...queryOf(filters, Date.now() * 1000), limit: PAGE, ...sort, ...(cursor !== undefined && { cursor }), ...(offset !== undefined && { offset }) }, signal);
      wasTrueAt(page.as_of);
      return pageOf(page, param);
    },
    initialPageParam: start as PageParam,
    getNextPageParam: paramAfter,
    getPreviousPageParam: paramBefore,
    maxPages: MOST_PAGES,
    // What is there stays until what is jumped to has come.
    placeholderData: (before, last) => (JSON.stringify(last?.queryKey[1]) === key ? before : undefined),
  });
  const version = useSyncExternalStore(liveStore.subscribe, liveStore.get);
  const { held, hold } = useHeld(version);

  const retry = () => void (query.isFetchNextPageError ? query.fetchNextPage() : query.isFetchPreviousPageError ? query.fetchPreviousPage() : query.refetch());
  const connection = useSyncExternalStore(connectionStore.subscribe, connectionStore.get);
  useEffect(() => {
    if (connection.state === "live" && query.isError) retry();
  }, [connection.state]);

  const pages = query.data?.pages;
  const live = liveRoots();
  const roots = useMemo(() => mergeRoots(pages ?? [], live, filters, held, droppedRoots()), [pages, live, key, held, version]);
  const first = pages?.[0];

  return {
    roots,
    index: first?.index ?? 0,
    loading: query.isPending,
    problem: query.error,
    retry,
    loadingMore: query.isFetchingNextPage || query.isFetchingPreviousPage || query.isPlaceholderData,
    loadMore: () => {
      if (query.hasNextPage && !query.isFetching && !query.isFetchNextPageError) void query.fetchNextPage();
    },
    hasMore: query.hasNextPage,
    loadBefore: () => {
      if (query.hasPreviousPage && !query.isFetching && !query.isFetchPreviousPageError) void query.fetchPreviousPage();
    },
    hasBefore: query.hasPreviousPage,
    jump: (index) => {
      if (first && !query.isFetching) begin({ ...paramAt(index), top: true });
    },
    toTop: () => {
      if (query.hasPreviousPage) begin({ index: 0, top: true });
    },
    belongs: (id) => {
      const isIt = ({ root_id }: Root) => root_id === id;
      if (roots.some(isIt)) return true;
      if (wasDropped(id) || pages?.some((page) => page.roots.some(isIt))) return false;
      const known = live.get(id)?.model;
      return known === undefined || matches(filters, known);
    },
    held: countHeld(live, filters, held),
    hold,
  };
}

const NOTHING: ReadonlySet<string> = new Set();

/** Which roots came while new ones were told to wait. */
function useHeld(version: number): { held: ReadonlySet<string>; hold: (hold: boolean) => void } {
  // The roots that were there when the waiting began; null while nothing waits.
  const [before, setBefore] = useState<ReadonlySet<string> | null>(null);
  const holding = useRef(false);
  const held = useMemo(() => {
    if (!before) return NOTHING;
    return new Set([...liveRoots().keys()].filter((id) => !before.has(id)));
  }, [before, version]);
  const hold = (next: boolean) => {
    if (next === holding.current) return;
    holding.current = next;
    setBefore(next ? new Set(liveRoots().keys()) : null);
  };
  return { held, hold };
}
