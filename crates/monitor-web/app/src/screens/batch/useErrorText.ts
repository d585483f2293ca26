import { useQuery } from "@tanstack/react-query";
import { fetchTree } from "../../api/client.ts";
import type { BatchRun } from "../../api/types.ts";

/** Returns the end of a failed run's stderr while its tree is stored, also if its agent is away. Otherwise returns its one-line error. */
export function useErrorText(run: BatchRun): string {
  const query = useQuery({
    queryKey: ["batch-error", run.root_id, run.ended_us],
    queryFn: ({ signal }) => fetchTree(run.root_id, { limit: 1 }, signal),
    enabled: run.error !== null,
    retry: false,
    staleTime: Infinity,
  });
  return query.data?.root.error?.tail ?? run.error ?? "";
}
