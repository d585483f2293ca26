import { useEffect, useRef, useSyncExternalStore } from "react";
import { liveStore } from "./live.ts";

/** Calls `read` once roots have changed: at most every `afterMs`, however often they change meanwhile, and not while a reading is under way. */
export function useAgain(read: () => void, afterMs: number, isReading = false): void {
  const version = useSyncExternalStore(liveStore.subscribe, liveStore.get);
  const seen = useRef(version);
  const newest = useRef(read);
  newest.current = read;
  const isDue = !isReading && version !== seen.current;
  useEffect(() => {
    if (!isDue) return;
    const timer = setTimeout(() => {
      seen.current = liveStore.get();
      newest.current();
    }, afterMs);
    return () => clearTimeout(timer);
  }, [isDue, afterMs]);
}
