import { useSyncExternalStore } from "react";

const query = matchMedia("(max-width: 760px)");

const subscribe = (listener: () => void) => {
  query.addEventListener("change", listener);
  return () => query.removeEventListener("change", listener);
};

/** Whether there is room for one column only; the style sheets ask the same. */
export function useNarrow(): boolean {
  return useSyncExternalStore(subscribe, () => query.matches);
}
