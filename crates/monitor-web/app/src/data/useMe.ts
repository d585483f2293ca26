import { queryOptions, useQuery } from "@tanstack/react-query";
import { fetchMe } from "../api/client.ts";

/** Query for the reader's user and rights. */
export const me = queryOptions({ queryKey: ["me"], queryFn: ({ signal }) => fetchMe(signal) });

/** Right to change something. `admin` includes all other rights. `jobs` is the right to run jobs on hosts, which a grant gives. */
export type Right = "operate" | "jobs" | "admin";

/** Returns true if the reader has this right; undefined until it is known. */
export function useMay(right: Right): boolean | undefined {
  const query = useQuery(me);
  if (right === "jobs" && query.data?.jobs != null) return true;
  return query.data?.scopes.some((scope) => scope === right || scope === "admin");
}
