import { useNavigate, useSearch } from "@tanstack/react-router";
import { useCallback, useMemo } from "react";

interface JobParams {
  /** `new`, `hosts`, or the list of jobs if unset. */
  tab?: string | undefined;
  /** Number of the opened job. */
  job?: string | undefined;
  /** Number of the shown step; the current one if unset. */
  step?: string | undefined;
  /** Outcome of the shown hosts; all if unset. */
  outcome?: string | undefined;
  /** The host that is shown in the panel, or that a new job starts with. */
  host?: string | undefined;
  /** Name of the saved targets that a new job starts with. */
  saved?: string | undefined;
  /** Number of the job that a new one repeats. */
  again?: string | undefined;
  /** `shapes` for the outputs by shape, `script` for the script, or the hosts if unset. */
  view?: string | undefined;
  /** Text that the shown hosts contain. */
  q?: string | undefined;
  /** `open` or `ended`, of the listed jobs. */
  state?: string | undefined;
  /** Text in the names of the listed jobs. */
  name?: string | undefined;
}

export interface JobSearch extends JobParams {
  set: (change: JobParams) => void;
}

/** Returns the parameters of the screen in the address. */
export function useJobSearch(): JobSearch {
  const search = useSearch({ strict: false }) as Record<string, unknown>;
  const navigate = useNavigate();
  const set = useCallback((change: JobParams) => void navigate({ to: ".", search: (before: object) => ({ ...before, ...change }), replace: true }), [navigate]);
  return useMemo(() => {
    const text = (key: keyof JobParams) => (search[key] === undefined ? undefined : String(search[key]));
    return { tab: text("tab"), job: text("job"), step: text("step"), outcome: text("outcome"), host: text("host"), saved: text("saved"), again: text("again"), view: text("view"), q: text("q"), state: text("state"), name: text("name"), set };
  }, [search, set]);
}
