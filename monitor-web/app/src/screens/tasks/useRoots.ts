import { useInfiniteQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import { fetchRoots } from "../../api/client.ts";
import type { Root } from "../../api/types.ts";
import { droppedRoots, liveRoots, liveRootsStore, rootsLoaded } from "../../data/live-roots.ts";
import { connectionStore } from "../../live/live.ts";
import { type Filters, queryOf } from "../../model/filters.ts";
import { countHeld, mergeRoots } from "../../model/roots.ts";

const PAGE = 100;

export interface RootListState {
  roots: Root[];
  loading: boolean;
  /** Why nothing, or nothing newer or older than what is there, could be read. */
  problem: unknown;
  retry: () => void;
  /** Whether older ones are being read. */
  loadingMore: boolean;
  loadMore: () => void;
  /** Whether there are older ones than those that were read. */
  hasMore: boolean;
  /** New ones that wait while older ones are being read. */
  held: number;
  /** Whether new ones shall wait. */
  hold: (hold: boolean) => void;
}

/** The roots that pass the filters, newest first, kept true by the stream. */
export function useRoots(filters: Filters): RootListState {
  const query = useInfiniteQuery({
    queryKey: ["roots", filters],
    queryFn: async ({ pageParam, signal }) => {
      const page = await fetchRoots({ ...queryOf(filters, Date.now() * 1000), limit: PAGE, ...(pageParam ? { cursor: pageParam } : {}) }, signal);
      rootsLoaded(page.as_of);
      return page;
    },
    initialPageParam: "",
    getNextPageParam: (page) => page.next_cursor ?? undefined,
  });
  const version = useSyncExternalStore(liveRootsStore.subscribe, liveRootsStore.get);
  const { held, hold } = useHeld(version);

  const retry = () => void (query.isFetchNextPageError ? query.fetchNextPage() : query.refetch());
  const connection = useSyncExternalStore(connectionStore.subscribe, connectionStore.get);
  useEffect(() => {
    if (connection.state === "live" && query.isError) retry();
  }, [connection.state]);

  const pages = query.data?.pages;
  // `filters` is made anew at every render; its contents decide.
  const key = JSON.stringify(filters);
  const live = liveRoots();
  const roots = useMemo(() => mergeRoots(pages ?? [], live, filters, held, droppedRoots()), [pages, live, key, held, version]);

  return {
    roots,
    loading: query.isPending,
    problem: query.error,
    retry,
    loadingMore: query.isFetchingNextPage,
    loadMore: () => {
      if (query.hasNextPage && !query.isFetching && !query.isFetchNextPageError) void query.fetchNextPage();
    },
    hasMore: query.hasNextPage,
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
