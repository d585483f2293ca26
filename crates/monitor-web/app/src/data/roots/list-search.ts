/** Query string of the last view of the list of runs. Links back to the list use it, also after a reload. */
import { keptMap } from "../kept.ts";

const LATEST = "latest";
const kept = keptMap<Record<string, unknown>>("monitor-list");

export function rememberList(search: Record<string, unknown>): void {
  kept.set(LATEST, search);
}

export function lastList(): Record<string, unknown> {
  return kept.get(LATEST) ?? {};
}
