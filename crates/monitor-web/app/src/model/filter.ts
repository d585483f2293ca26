/** Which processes of a tree a text is found in, with all that stand above them. */
import type { Forest, Tree } from "./tree.ts";

export const ABOVE = 1;
export const MATCH = 2;

export interface Found {
  /** For each slot 0, `ABOVE` or `MATCH`. */
  marks: Uint8Array;
  count: number;
}

/** What is asked for by its name; all else is text. */
const TERM = /(?<!\S)(kind|state):(\S+)/g;

/**
 * Looks in names, errors and ids, in any case; `kind:span` and `state:failed` leave the others out, and of several a process has to meet each.
 * What stands above is what does in `forest`.
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
  // Few sites are many processes: each name is looked at once.
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
