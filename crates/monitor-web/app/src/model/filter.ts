/** Finds the processes of a tree that contain a text, and their ancestors. */
import type { Forest, Tree } from "./tree.ts";

export const ABOVE = 1;
export const MATCH = 2;

export interface Found {
  /** Per slot: 0, `ABOVE` or `MATCH`. */
  marks: Uint8Array;
  count: number;
}

/** Terms with a name; everything else is free text. */
const TERM = /(?<!\S)(kind|state):(\S+)/g;

/**
 * Searches names, errors and ids, ignoring case. `kind:span` and `state:failed` restrict the result; a process must match all of them.
 * Ancestors are determined in `forest`.
 */
export function find(tree: Tree, text: string, forest: Forest = tree): Found {
  const terms: [string, string][] = [];
  const rest = text.toLowerCase().replace(TERM, (_, key: string, value: string) => {
    terms.push([key, value]);
    return " ";
  });
  const wanted = terms.length > 0 ? rest.trim() : rest;
  const marks = new Uint8Array(tree.size);
  let count = 0;
  const has = (part: string | undefined) => part?.toLowerCase().includes(wanted) ?? false;
  const byId = tree.find(wanted);
  // There are few sites compared with processes, so each name is checked once.
  const names = new Map<number, boolean>();
  const isNamed = (slot: number) => {
    const site = tree.siteNumber(slot);
    let found = names.get(site);
    if (found === undefined) names.set(site, (found = has(tree.siteOf(slot).name)));
    return found;
  };
  for (let slot = 0; slot < tree.size; slot += 1) {
    if (!terms.every(([key, value]) => value === (key === "kind" ? tree.siteOf(slot).kind : tree.stateOf(slot)))) continue;
    const error = tree.errorOf(slot);
    if (!isNamed(slot) && slot !== byId && !has(error?.message) && !(error?.chain ?? []).some(has)) continue;
    marks[slot] = MATCH;
    count += 1;
    for (let above = forest.parentOf(slot); above !== undefined && !marks[above]; above = forest.parentOf(above)) marks[above] = ABOVE;
  }
  return { marks, count };
}
