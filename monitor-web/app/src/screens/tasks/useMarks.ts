import { useQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useRef, useSyncExternalStore } from "react";
import { fetchNames } from "../../api/client.ts";
import type { Root } from "../../api/types.ts";
import { liveRootsStore } from "../../data/live-roots.ts";
import { MOST_MARKS } from "../../ui/Strip.tsx";

const MOST_NAMES = 200;
/** How long at least between two looks at what has ended. */
const AGAIN_MS = 10_000;

interface Mark {
  number: number;
  text: string;
}

/** For each run the marks of the last runs of its name, itself at the end, as a `Strip` takes them: of names that ran lately, and of the runs in sight. */
export function useMarks(roots: readonly Root[]): (root: Root) => string {
  const query = useQuery({
    queryKey: ["marks"],
    queryFn: ({ signal }) => fetchNames({ limit: MOST_NAMES }, signal),
    enabled: roots.length > 0,
  });
  const version = useSyncExternalStore(liveRootsStore.subscribe, liveRootsStore.get);
  const seen = useRef(version);
  useEffect(() => {
    if (version === seen.current) return;
    const timer = setTimeout(() => {
      seen.current = liveRootsStore.get();
      void query.refetch();
    }, AGAIN_MS);
    return () => clearTimeout(timer);
  }, [version === seen.current]);
  const byName = useMemo(() => {
    const found = new Map<string, Map<number, Mark>>();
    const put = (name: string, { number, state, elapsed_ns }: Pick<Root, "number" | "state" | "elapsed_ns">) => {
      const of = found.get(name) ?? new Map<number, Mark>();
      found.set(name, of.set(number, { number, text: `${state}:${elapsed_ns ?? 0}` }));
    };
    for (const { name, roots: marks } of query.data?.names ?? []) for (const mark of marks) put(name, mark);
    // Those in sight are true by the stream.
    for (const root of roots) put(root.name, root);
    return new Map([...found].map(([name, marks]) => [name, [...marks.values()].sort((a, b) => a.number - b.number)]));
  }, [query.data, roots]);
  return ({ name, number }) => {
    const all = byName.get(name) ?? [];
    const after = all.findIndex((mark) => mark.number > number);
    const end = after < 0 ? all.length : after;
    return all.slice(Math.max(0, end - MOST_MARKS), end).map(({ text }) => text).join(" ");
  };
}
