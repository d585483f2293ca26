import { useNavigate, useSearch } from "@tanstack/react-router";
import { useCallback, useMemo } from "react";

interface BatchParams {
  /** `runs`, `day`, `edit`, or the tasks. */
  tab?: string | undefined;
  /** One task, opened. */
  task?: string | undefined;
  /** Part of a task's name. */
  q?: string | undefined;
  /** A run, opened beside what is shown. */
  run?: string | undefined;
  /** The day that is shown, on the reader's clock; today without it. */
  day?: string | undefined;
  outcome?: string | undefined;
  exit?: string | undefined;
  agent?: string | undefined;
  /** Times on the reader's clock, `2026-11-21T02:30` or the beginning of a day. */
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
    return { tab: text("tab"), task: text("task"), q: text("q"), run: text("run"), day: text("day"), outcome: text("outcome"), exit: text("exit"), agent: text("agent"), from: text("from"), to: text("to"), set };
  }, [search, set]);
}

/** A time on the reader's clock, `2026-11-21T02:30`, or the beginning of a day, in Unix microseconds; nothing if it is neither. */
export function clockUs(text: string | undefined, daysLater = 0): number | undefined {
  const [, year, month, date, hour = "0", minute = "0"] = /^(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d))?$/.exec(text ?? "") ?? [];
  if (year === undefined) return undefined;
  const us = new Date(Number(year), Number(month) - 1, Number(date) + daysLater, Number(hour), Number(minute)).getTime() * 1000;
  return us > 0 ? us : undefined;
}
