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

/** Returns the median duration of the runs that succeeded, in ns. Undefined if none did. */
export function usualNs(roots: readonly { state: string; elapsed_ns: number | null }[]): number | undefined {
  const took = roots.flatMap(({ state, elapsed_ns }) => (state === "succeeded" && elapsed_ns !== null ? [elapsed_ns] : [])).sort((a, b) => a - b);
  return took[(took.length - 1) >> 1];
}
