import { QueryClient } from "@tanstack/react-query";
import { ApiError } from "../api/client.ts";

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
