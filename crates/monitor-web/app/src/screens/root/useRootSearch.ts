import { useNavigate, useSearch } from "@tanstack/react-router";
import { useCallback } from "react";

/** What the address of a root says besides the selected process. */
interface RootParams {
  /** What the tree is narrowed to. */
  filter?: string | undefined;
  /** Whether like siblings share a row. */
  group?: string | undefined;
  /** What is shown of the root; the tree without it. */
  tab?: string | undefined;
  /** The timeline's window, in µs from the root's start: `from-to`. */
  window?: string | undefined;
  /** What it is compared with: an id or a number; the last one that succeeded without it. */
  with?: string | undefined;
  /** How what differs is shown. */
  view?: string | undefined;
  /** `raw` leaves times as the workers' clocks have them. */
  clocks?: string | undefined;
  /** What the lanes of tree and timeline are. */
  lanes?: string | undefined;
  /** `open` shows idle gaps of the timeline as long as they are. */
  gaps?: string | undefined;
  /** The least level of the logs that are shown, and what they contain. */
  level?: string | undefined;
  said?: string | undefined;
}

export interface RootSearch extends RootParams {
  filter: string;
  grouped: boolean;
  set: (change: RootParams) => void;
  /** The same as a step that Back undoes. */
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
