/** Which processes of a tree a text is found in, with all that stand above them. */
import type { Tree } from "./tree.ts";

export const ABOVE = 1;
export const MATCH = 2;

export interface Found {
  /** For each slot 0, `ABOVE` or `MATCH`. */
  marks: Uint8Array;
  count: number;
}

/** Looks in names, errors and ids, in any case. */
export function find(tree: Tree, text: string): Found {
  const wanted = text.toLowerCase();
  const marks = new Uint8Array(tree.size);
  let count = 0;
  for (let slot = 0; slot < tree.size; slot += 1) {
    const { name, id, error } = tree.at(slot);
    const isFound = name.toLowerCase().includes(wanted) || id === wanted || (error?.message.toLowerCase().includes(wanted) ?? false);
    if (!isFound) continue;
    marks[slot] = MATCH;
    count += 1;
    for (let above = tree.parentOf(slot); above !== undefined && !marks[above]; above = tree.parentOf(above)) marks[above] = ABOVE;
  }
  return { marks, count };
}
