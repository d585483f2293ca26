/** States of the last runs of each name, for the strips in the list. */
import type { NamedRoots, Root } from "../api/types.ts";

type Run = Pick<Root, "number" | "state" | "elapsed_ns" | "started_us"> & Pick<Partial<Root>, "begun_us">;

/** Runs of each name in the order of the list: by start time, then by number. */
export class LastRuns {
  private readonly byName: ReadonlyMap<string, readonly Run[]>;

  /** If both contain a run, `shown` is used, because the stream keeps it current. */
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

  /** Returns the marks of the last `most` runs of a name up to this run, in the format of `Strip`. */
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

/** Returns the start time for sorting. A run that has not started uses the earliest known time; a run without any known time is first. */
function startOf({ started_us, begun_us }: Run): number {
  return started_us ?? begun_us ?? 0;
}
