import { useEffect, useRef, useSyncExternalStore } from "react";
import { liveRootsStore } from "./live-roots.ts";

/** Calls `read` once roots have changed: at most every `afterMs`, however often they change meanwhile, and not while a reading is under way. */
export function useAgain(read: () => void, afterMs: number, isReading = false): void {
  const version = useSyncExternalStore(liveRootsStore.subscribe, liveRootsStore.get);
  const seen = useRef(version);
  const newest = useRef(read);
  newest.current = read;
  const isDue = !isReading && version !== seen.current;
  useEffect(() => {
    if (!isDue) return;
    const timer = setTimeout(() => {
      seen.current = liveRootsStore.get();
      newest.current();
    }, afterMs);
    return () => clearTimeout(timer);
  }, [isDue, afterMs]);
}
