import { useInfiniteQuery } from "@tanstack/react-query";
import { useMemo, useReducer, useRef, useState, useSyncExternalStore } from "react";
import { fetchRoots } from "../../api/client.ts";
import type { Root } from "../../api/types.ts";
import { keptMap } from "../../data/kept.ts";
import { liveStore, wasTrueAt } from "../../data/live.ts";
import { knownWorker } from "../../data/workers/live.ts";
import { droppedRoots, liveRoots, wasDropped } from "../../data/roots/live.ts";
import { atUs, type Filters, isOldestFirst, matches, queryOf } from "../../model/filters.ts";
import { pageOf, type PageParam, paramAfter, paramAt, paramBefore, paramOfTime } from "../../model/pages.ts";
import { countHeld, mergeRoots } from "../../model/roots.ts";

const PAGE = 100;
/** Maximum number of pages that are kept around the view; others are read again. */
const MOST_PAGES = 20;

export interface RootListState {
  roots: Root[];
  /** Index of the first root in the whole list, if known. */
  index: number;
  loading: boolean;
  /** Error of the last request, if no roots, or none in the requested direction, could be read. */
  problem: unknown;
  retry: () => void;
  /** True if more roots are being read. */
  loadingMore: boolean;
  loadMore: () => void;
  /** True if there are roots after the loaded range. */
  hasMore: boolean;
  loadBefore: () => void;
  /** True if there are roots before the loaded range. */
  hasBefore: boolean;
  /** Reads the roots around an index far before the loaded range. */
  jump: (index: number) => void;
  /** Goes to the first of the whole list. */
  toTop: () => void;
  /** Returns true if a root belongs to the list, even if its page is not loaded. */
  belongs: (id: string) => boolean;
  /** New roots that wait while the reader is further down. */
  held: number;
  /** True if new roots must wait. */
  hold: (hold: boolean) => void;
}

interface Start extends PageParam {
  /** Also if the filters ask for a time. */
  top?: boolean;
}

/** Start of each list, for Back and for a reload. */
const starts = keptMap<Start>("monitor-starts");
const TOP: Start = { index: 0 };

/** The roots that pass the filters, newest first, kept true by the stream. */
export function useRoots(filters: Filters): RootListState {
  // `filters` is a new object at every render, so its contents are compared.
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
    // Loaded roots stay until the target of the jump has been read.
    placeholderData: (before, last) => (JSON.stringify(last?.queryKey[1]) === key ? before : undefined),
  });
  const version = useSyncExternalStore(liveStore.subscribe, liveStore.get);
  const { held, hold } = useHeld(version);

  const retry = () => void (query.isFetchNextPageError ? query.fetchNextPage() : query.isFetchPreviousPageError ? query.fetchPreviousPage() : query.refetch());

  const pages = query.data?.pages;
  const live = liveRoots();
  const roots = useMemo(() => mergeRoots(pages ?? [], live, filters, held, droppedRoots(), knownWorker), [pages, live, key, held, version]);
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
      return known === undefined || matches(filters, known, knownWorker);
    },
    held: countHeld(live, filters, held, knownWorker),
    hold,
  };
}

const NOTHING: ReadonlySet<string> = new Set();

/** Returns the roots that arrived while new roots had to wait. */
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
