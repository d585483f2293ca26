import { useNavigate, useSearch } from "@tanstack/react-router";
import { useCallback, useMemo } from "react";

interface QueueParams {
  state?: string | undefined;
  queue?: string | undefined;
  /** A search in the words of the API. */
  q?: string | undefined;
  /** `-received` without it. */
  sort?: string | undefined;
}

export interface QueueSearch extends QueueParams {
  set: (change: QueueParams) => void;
}

/** What the address says of tasks of queues. */
export function useQueueSearch(): QueueSearch {
  const search = useSearch({ strict: false }) as Record<string, unknown>;
  const navigate = useNavigate();
  const set = useCallback((change: QueueParams) => void navigate({ to: ".", search: (before: object) => ({ ...before, ...change }), replace: true }), [navigate]);
  return useMemo(() => {
    // An address may hold a queue or a search that is a number.
    const text = (key: keyof QueueParams) => (search[key] === undefined ? undefined : String(search[key]));
    return { state: text("state"), queue: text("queue"), q: text("q"), sort: text("sort"), set };
  }, [search, set]);
}
