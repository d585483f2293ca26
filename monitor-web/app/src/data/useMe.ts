import { useQuery } from "@tanstack/react-query";
import { fetchMe } from "../api/client.ts";

/** Whether the reader may change what is kept; undefined until it is known. */
export function useMayOperate(): boolean | undefined {
  const query = useQuery({ queryKey: ["me"], queryFn: ({ signal }) => fetchMe(signal) });
  return query.data?.scopes.some((scope) => scope === "operate" || scope === "admin");
}
