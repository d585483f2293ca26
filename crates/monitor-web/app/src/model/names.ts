/** Keeps the list of names stable while it is read: visible names keep their positions. */

interface Named {
  name: string;
}

/**
 * Returns the newest version of each shown name in the shown order, then the names that continue the list, and the number of names that
 * wait above. `fresh` is sorted by the last change, newest first.
 */
export function steadyNames<Of extends Named>(fresh: readonly Of[], shown: readonly string[]): { names: Of[]; waiting: number } {
  const newest = new Map(fresh.map((of) => [of.name, of]));
  const known = new Set(shown);
  const after = fresh.slice(fresh.findLastIndex(({ name }) => known.has(name)) + 1);
  const names = [...shown.flatMap((name) => newest.get(name) ?? []), ...after];
  return { names, waiting: newest.size - names.length };
}
