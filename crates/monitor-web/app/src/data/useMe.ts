import { queryOptions, useQuery } from "@tanstack/react-query";
import { fetchMe } from "../api/client.ts";

/** Who the reader is, and what they may do. */
export const me = queryOptions({ queryKey: ["me"], queryFn: ({ signal }) => fetchMe(signal) });

/** A right to change something. `admin` has all others in it. */
export type Right = "operate" | "admin";

/** Whether the reader has this right; undefined until it is known. */
export function useMay(right: Right): boolean | undefined {
  const query = useQuery(me);
  return query.data?.scopes.some((scope) => scope === right || scope === "admin");
}
