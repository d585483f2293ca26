import { useNavigate, useSearch } from "@tanstack/react-router";
import { useCallback } from "react";

/** Parameters in the address of a root, except the selected process. */
interface RootParams {
  /** Filter of the tree. */
  filter?: string | undefined;
  /** Set if similar siblings share a row. */
  group?: string | undefined;
  /** The displayed tab; the tree if unset. */
  tab?: string | undefined;
  /** The timeline's window, in µs from the root's start: `from-to`. */
  window?: string | undefined;
  /** Id or number of the run to compare with; the last successful one if unset. */
  with?: string | undefined;
  /** Display mode of the comparison. */
  view?: string | undefined;
  /** `raw` shows times as the workers' clocks reported them. */
  clocks?: string | undefined;
  /** Kind of lanes in tree and timeline. */
  lanes?: string | undefined;
  /** `open` shows the timeline's idle gaps at full length. */
  gaps?: string | undefined;
  /** Minimum level of displayed log lines, and text in them. */
  level?: string | undefined;
  said?: string | undefined;
}

export interface RootSearch extends RootParams {
  filter: string;
  grouped: boolean;
  set: (change: RootParams) => void;
  /** Applies a change as a step that Back undoes. */
  go: (change: RootParams) => void;
}

export function useRootSearch(): RootSearch {
  const search = useSearch({ strict: false }) as RootParams;
  const navigate = useNavigate();
  const change = useCallback(
    (to: RootParams, replace: boolean) => void navigate({ to: ".", search: (before: object) => ({ ...before, ...to }), replace }),
    [navigate],
  );
  const set = useCallback((to: RootParams) => change(to, true), [change]);
  const go = useCallback((to: RootParams) => change(to, false), [change]);
  return { ...search, filter: search.filter ?? "", grouped: search.group === "1", set, go };
}
