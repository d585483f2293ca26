import { useNavigate, useSearch } from "@tanstack/react-router";
import { useCallback, useMemo } from "react";

interface QueueParams {
  state?: string | undefined;
  queue?: string | undefined;
  /** A search in the syntax of the API. */
  q?: string | undefined;
  /** `-received` if unset. */
  sort?: string | undefined;
}

export interface QueueSearch extends QueueParams {
  set: (change: QueueParams) => void;
}

/** Returns the parameters of the queue screen in the address. */
export function useQueueSearch(): QueueSearch {
  const search = useSearch({ strict: false }) as Record<string, unknown>;
  const navigate = useNavigate();
  const set = useCallback((change: QueueParams) => void navigate({ to: ".", search: (before: object) => ({ ...before, ...change }), replace: true }), [navigate]);
  return useMemo(() => {
    // The router parses digits as numbers.
    const text = (key: keyof QueueParams) => (search[key] === undefined ? undefined : String(search[key]));
    return { state: text("state"), queue: text("queue"), q: text("q"), sort: text("sort"), set };
  }, [search, set]);
}
