import { useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import { nextReading } from "../model/time.ts";
import { type Topic, liveStore, versionOf } from "./live.ts";

/** Maximum delay of a browser's timer. */
const LONGEST_MS = 2 ** 31 - 1;
/** Pause before a reading that failed is repeated. */
const FAILED_MS = 10_000;

/** The result of `useQuery` or `useInfiniteQuery`. */
interface Reading {
  refetch: () => Promise<unknown>;
  isFetching: boolean;
  isError: boolean;
}

/**
 * Reads again after the stream has reported a change of one of the topics, or after the reading failed. Waits `afterMs` first, so that many
 * changes cause one reading. Does nothing during a reading, or while `isHeld`. Changes are not reported to a screen that is not shown, so
 * queries have `staleTime: 0` and begin with a reading.
 */
export function useAgain(topics: readonly Topic[], { refetch, isFetching, isError }: Reading, afterMs: number, isHeld = false): void {
  const version = useSyncExternalStore(liveStore.subscribe, () => versionOf(topics));
  const seen = useRef(version);
  const newest = useRef({ topics, refetch });
  newest.current = { topics, refetch };
  const isDue = !isFetching && !isHeld && (isError || version !== seen.current);
  const pauseMs = isError ? Math.max(afterMs, FAILED_MS) : afterMs;
  useEffect(() => {
    if (!isDue) return;
    const timer = setTimeout(() => {
      seen.current = versionOf(newest.current.topics);
      void newest.current.refetch();
    }, pauseMs);
    return () => clearTimeout(timer);
  }, [isDue, pauseMs]);
}

/** Reads again after each of these times, in µs, because something changes then without an event. Ignores times that are unknown. */
export function useAgainAt(timesUs: readonly (number | null | undefined)[], { refetch }: Pick<Reading, "refetch">): void {
  const newest = useRef(refetch);
  newest.current = refetch;
  const [doneMs, setDoneMs] = useState(Date.now);
  const next = useMemo(() => nextReading(timesUs, doneMs), [timesUs, doneMs]);
  useEffect(() => {
    if (next === undefined) return;
    const timer = setTimeout(() => {
      const isThen = Date.now() >= next;
      if (isThen) void newest.current();
      setDoneMs(isThen ? next : Date.now());
    }, Math.min(Math.max(0, next - Date.now()), LONGEST_MS));
    return () => clearTimeout(timer);
  }, [next, doneMs]);
}
