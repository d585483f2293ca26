import { QueryClient } from "@tanstack/react-query";
import { ApiError } from "../api/client.ts";
import { onReconnect } from "../live/live.ts";

/** Query results never become stale by time: the stream updates them. */
export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: Infinity,
      refetchOnWindowFocus: false,
      refetchOnReconnect: false,
      // An error response would be repeated; a failed connection may succeed.
      retry: (failures, error) => failures < 2 && !(error instanceof ApiError && error.status >= 400),
      retryDelay: 500,
    },
  },
});

/** After an interruption, repeats every query of the screen: some failed meanwhile, and not all are updated by the stream. */
export function watchConnection(): void {
  onReconnect(() => void queryClient.refetchQueries({ type: "active" }));
}
