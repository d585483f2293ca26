import { queryOptions, useQuery } from "@tanstack/react-query";
import { fetchMe } from "../api/client.ts";

/** Who the reader is, and what they may do. */
export const me = queryOptions({ queryKey: ["me"], queryFn: ({ signal }) => fetchMe(signal) });

/** Whether the reader may change what is kept; undefined until it is known. */
export function useMayOperate(): boolean | undefined {
  const query = useQuery(me);
  return query.data?.scopes.some((scope) => scope === "operate" || scope === "admin");
}
