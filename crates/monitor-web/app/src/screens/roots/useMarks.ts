import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { fetchNames } from "../../api/client.ts";
import type { Root } from "../../api/types.ts";
import { useAgain } from "../../data/useAgain.ts";
import { LastRuns } from "../../model/marks.ts";
import { MOST_MARKS } from "../../ui/Strip.tsx";
import { useIdle } from "../../ui/useIdle.ts";

const MOST_NAMES = 200;
/** Minimum interval between two requests. */
const AGAIN_MS = 10_000;

/**
 * Returns for each run the marks of the last runs with its name, in the format of `Strip`, the run itself last. They are read for recently
 * run names and for visible runs. Before the rows are drawn and the names are read, there are none.
 */
export function useMarks(roots: readonly Root[]): (root: Root) => string {
  const isIdle = useIdle();
  const query = useQuery({
    queryKey: ["marks"],
    queryFn: ({ signal }) => fetchNames({ limit: MOST_NAMES }, signal),
    enabled: isIdle && roots.length > 0,
    staleTime: 0,
  });
  useAgain(["root"], query, AGAIN_MS);
  const { data, isError } = query;
  const runs = useMemo(() => (data || isError ? new LastRuns(data?.names ?? [], roots) : undefined), [data, isError, roots]);
  return (root) => runs?.marks(root, MOST_MARKS) ?? "";
}
