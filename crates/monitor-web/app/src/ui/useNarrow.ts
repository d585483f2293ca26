import { useSyncExternalStore } from "react";

const query = matchMedia("(max-width: 760px)");

const subscribe = (listener: () => void) => {
  query.addEventListener("change", listener);
  return () => query.removeEventListener("change", listener);
};

/** Returns true if there is only space for one column; the style sheets use the same limit. */
export function useNarrow(): boolean {
  return useSyncExternalStore(subscribe, () => query.matches);
}
