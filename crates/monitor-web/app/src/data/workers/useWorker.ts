import { useSyncExternalStore } from "react";
import type { Worker } from "../../api/types.ts";
import { liveStore } from "../live.ts";
import { knownWorker } from "./live.ts";

/** Returns the current state of a worker; undefined until it is known. */
export function useWorker(id: string | null): Worker | undefined {
  return useSyncExternalStore(liveStore.subscribe, () => (id === null ? undefined : knownWorker(id)));
}
