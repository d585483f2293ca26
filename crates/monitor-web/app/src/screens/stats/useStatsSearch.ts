import { useNavigate, useSearch } from "@tanstack/react-router";
import { useCallback, useMemo } from "react";

/** Choices for the displayed period. */
export const RANGES = { "1h": 3600, "24h": 86_400, "7d": 604_800, "30d": 2_592_000 } as const;
export type RangeName = keyof typeof RANGES;

interface StatsParams {
  range?: string | undefined;
  /** A range of its own: `from-to` in Unix µs. */
  between?: string | undefined;
  name?: string | undefined;
  q?: string | undefined;
  sort?: string | undefined;
}

export interface StatsSearch extends StatsParams {
  rangeName: RangeName | null;
  fromUs: number;
  toUs: number;
  set: (change: StatsParams) => void;
}

/** Returns the parameters of the statistics in the address. `turn` counts refreshes: a period up to now moves with each. */
export function useStatsSearch(turn: number): StatsSearch {
  const search = useSearch({ strict: false }) as StatsParams;
  const navigate = useNavigate();
  const set = useCallback((change: StatsParams) => void navigate({ to: ".", search: (before: object) => ({ ...before, ...change }), replace: true }), [navigate]);
  return useMemo(() => {
    const [, from, to] = /^(\d{1,16})-(\d{1,16})$/.exec(search.between ?? "") ?? [];
    if (Number(to) > Number(from)) return { ...search, rangeName: null, fromUs: Number(from), toUs: Number(to), set };
    const rangeName = search.range !== undefined && search.range in RANGES ? (search.range as RangeName) : "24h";
    // Whole minutes, because the server stores sums per minute.
    const toUs = Math.ceil(Date.now() / 60_000) * 60e6;
    return { ...search, rangeName, fromUs: toUs - RANGES[rangeName] * 1e6, toUs, set };
  }, [search.range, search.between, search.name, search.q, search.sort, set, turn]);
}
