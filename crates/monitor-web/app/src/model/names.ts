/** The list of names while it is being read: those in sight stay where they are. */

interface Named {
  name: string;
}

/**
 * The newest of each name in the order in which they were shown, then those that the list goes on with; how many others wait above.
 * `fresh` has whoever changed last in front.
 */
export function steadyNames<Of extends Named>(fresh: readonly Of[], shown: readonly string[]): { names: Of[]; waiting: number } {
  const newest = new Map(fresh.map((of) => [of.name, of]));
  const known = new Set(shown);
  const after = fresh.slice(fresh.findLastIndex(({ name }) => known.has(name)) + 1);
  const names = [...shown.flatMap((name) => newest.get(name) ?? []), ...after];
  return { names, waiting: newest.size - names.length };
}
