import { useEffect, useRef, useSyncExternalStore } from "react";
import { type Topic, liveStore, versionOf } from "./live.ts";

/** The longest time that a timer of the browser takes. */
const LONGEST_MS = 2 ** 31 - 1;
/** What should have changed at a time and has not is read again after so long. */
const LATE_MS = 10_000;
/** So much later than it should change, so that the server's clock is there as well. */
const MARGIN_MS = 500;

/** What is read again: the result of `useQuery` or `useInfiniteQuery`. */
interface Reading {
  refetch: () => Promise<unknown>;
  isFetching: boolean;
}

/**
 * Reads again once the stream has told of one of the topics: at most every `afterMs`, however often it tells meanwhile, and not while a
 * reading is under way or it is held. A screen that is not there is told nothing: each visit reads anew (`staleTime: 0`).
 */
export function useAgain(topics: readonly Topic[], { refetch, isFetching }: Reading, afterMs: number, isHeld = false): void {
  const version = useSyncExternalStore(liveStore.subscribe, () => versionOf(topics));
  const seen = useRef(version);
  const newest = useRef({ topics, refetch });
  newest.current = { topics, refetch };
  const isDue = !isFetching && !isHeld && version !== seen.current;
  useEffect(() => {
    if (!isDue) return;
    const timer = setTimeout(() => {
      seen.current = versionOf(newest.current.topics);
      void newest.current.refetch();
    }, afterMs);
    return () => clearTimeout(timer);
  }, [isDue, afterMs]);
}

/** Reads again at a time at which something changes by itself, in µs; and every [`LATE_MS`] for as long as that stays the next such time. */
export function useAgainAt(timeUs: number | undefined, { refetch }: Pick<Reading, "refetch">): void {
  const newest = useRef(refetch);
  newest.current = refetch;
  useEffect(() => {
    if (timeUs === undefined) return;
    let timer: ReturnType<typeof setTimeout>;
    const leftMs = () => timeUs / 1000 + MARGIN_MS - Date.now();
    const wait = (ms: number) => {
      timer = setTimeout(() => {
        if (leftMs() <= 0) void newest.current();
        wait(Math.max(LATE_MS, leftMs()));
      }, Math.min(ms, LONGEST_MS));
    };
    wait(Math.max(0, leftMs()));
    return () => clearTimeout(timer);
  }, [timeUs]);
}
