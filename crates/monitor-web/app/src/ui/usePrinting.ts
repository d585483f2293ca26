import { useSyncExternalStore } from "react";
import { flushSync } from "react-dom";

const query = matchMedia("print");
const listeners = new Set<() => void>();
let prints = query.matches;
/** True between `beforeprint` and `afterprint`. Chromium may report in between that the query does not match. */
let isBetween = false;

/** Renders the printed form before the browser lays out the pages. */
function update(): void {
  const value = isBetween || query.matches;
  if (prints === value) return;
  prints = value;
  flushSync(() => listeners.forEach((listener) => listener()));
}

function setBetween(value: boolean): void {
  isBetween = value;
  update();
}

addEventListener("beforeprint", () => setBetween(true));
addEventListener("afterprint", () => setBetween(false));
query.addEventListener("change", update);

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Returns true while the browser prints the page. */
export function usePrinting(): boolean {
  return useSyncExternalStore(subscribe, () => prints);
}
