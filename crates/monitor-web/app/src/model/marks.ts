/** How the last runs of each name ended, as the strips of the list show it. */
import type { NamedRoots, Root } from "../api/types.ts";

type Run = Pick<Root, "number" | "state" | "elapsed_ns" | "started_us"> & Pick<Partial<Root>, "begun_us">;

/** The runs of each name in the order of the list: by their start, and by their number where that is the same. */
export class LastRuns {
  private readonly byName: ReadonlyMap<string, readonly Run[]>;

  /** Where both have a run, `shown` counts: those runs are true by the stream. */
  constructor(names: readonly Pick<NamedRoots, "name" | "roots">[], shown: readonly (Run & { name: string })[]) {
    const byName = new Map<string, Map<number, Run>>();
    const put = (name: string, run: Run) => {
      const of = byName.get(name) ?? new Map<number, Run>();
      byName.set(name, of.set(run.number, run));
    };
    for (const { name, roots } of names) for (const run of roots) put(name, run);
    for (const run of shown) put(run.name, run);
    this.byName = new Map([...byName].map(([name, runs]) => [name, [...runs.values()].sort(inOrder)]));
  }

  /** The marks of the last `most` runs of a name up to this one, as a `Strip` takes them. */
  marks(run: Run & { name: string }, most: number): string {
    const all = this.byName.get(run.name) ?? [];
    const after = all.findIndex((each) => inOrder(each, run) > 0);
    const end = after < 0 ? all.length : after;
    return all
      .slice(Math.max(0, end - most), end)
      .map(({ state, elapsed_ns }) => `${state}:${elapsed_ns ?? 0}`)
      .join(" ");
  }
}

function inOrder(a: Run, b: Run): number {
  return startOf(a) - startOf(b) || a.number - b.number;
}

/** A run that has not started stands where it was first heard of; one of which no time is known stands in front. */
function startOf({ started_us, begun_us }: Run): number {
  return started_us ?? begun_us ?? 0;
}
