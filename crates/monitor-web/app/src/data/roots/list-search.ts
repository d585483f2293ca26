/** The search part of the address that the list of runs was last seen at: the way back leads there, also after a reload. */
import { keptMap } from "../kept.ts";

const LATEST = "latest";
const kept = keptMap<Record<string, unknown>>("monitor-list");

export function rememberList(search: Record<string, unknown>): void {
  kept.set(LATEST, search);
}

export function lastList(): Record<string, unknown> {
  return kept.get(LATEST) ?? {};
}
