import { useSyncExternalStore } from "react";
import { flushSync } from "react-dom";

const query = matchMedia("print");
const listeners = new Set<() => void>();
let prints = query.matches;

/** Renders the printed form before the browser lays out the pages. */
function set(value: boolean): void {
  if (prints === value) return;
  prints = value;
  flushSync(() => listeners.forEach((listener) => listener()));
}

addEventListener("beforeprint", () => set(true));
addEventListener("afterprint", () => set(false));
query.addEventListener("change", () => set(query.matches));

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Returns true while the browser prints the page. */
export function usePrinting(): boolean {
  return useSyncExternalStore(subscribe, () => prints);
}
