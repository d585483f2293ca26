import { useSyncExternalStore } from "react";
import type { Worker } from "../api/types.ts";
import { knownWorker, liveRootsStore } from "./live-roots.ts";

/** The worker of that id, as it stands; undefined until it is known. */
export function useWorker(id: string | null): Worker | undefined {
  return useSyncExternalStore(liveRootsStore.subscribe, () => (id === null ? undefined : knownWorker(id)));
}
