import { QueryClient } from "@tanstack/react-query";
import { ApiError } from "../api/client.ts";

/** Pages that were read stay true: the stream keeps them so, nothing is asked for again by itself. */
export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: Infinity,
      refetchOnWindowFocus: false,
      refetchOnReconnect: false,
      // What the server refuses it will refuse again; what did not arrive may.
      retry: (failures, error) => failures < 2 && !(error instanceof ApiError && error.status >= 400),
      retryDelay: 500,
    },
  },
});
