import { useNavigate, useSearch } from "@tanstack/react-router";
import { useCallback, useMemo } from "react";

interface BatchParams {
  /** `runs`, `edit`, or the tasks. */
  tab?: string | undefined;
  /** One task, opened. */
  task?: string | undefined;
  /** Part of a task's name. */
  q?: string | undefined;
  outcome?: string | undefined;
  exit?: string | undefined;
  agent?: string | undefined;
  /** Days on the reader's clock, `2026-11-21`. */
  from?: string | undefined;
  to?: string | undefined;
}

export interface BatchSearch extends BatchParams {
  set: (change: BatchParams) => void;
}

/** What the address says of batch tasks. */
export function useBatchSearch(): BatchSearch {
  const search = useSearch({ strict: false }) as Record<string, unknown>;
  const navigate = useNavigate();
  const set = useCallback((change: BatchParams) => void navigate({ to: ".", search: (before: object) => ({ ...before, ...change }), replace: true }), [navigate]);
  return useMemo(() => {
    // An address may hold numbers, such as an exit code, or a task that is called 7.
    const text = (key: keyof BatchParams) => (search[key] === undefined ? undefined : String(search[key]));
    return { tab: text("tab"), task: text("task"), q: text("q"), outcome: text("outcome"), exit: text("exit"), agent: text("agent"), from: text("from"), to: text("to"), set };
  }, [search, set]);
}

/** The beginning of a day on the reader's clock, in Unix microseconds; nothing if it is no day. */
export function dayUs(day: string | undefined, later = 0): number | undefined {
  const [, year, month, date] = /^(\d{4})-(\d\d)-(\d\d)$/.exec(day ?? "") ?? [];
  if (year === undefined) return undefined;
  const us = new Date(Number(year), Number(month) - 1, Number(date) + later).getTime() * 1000;
  return us > 0 ? us : undefined;
}
