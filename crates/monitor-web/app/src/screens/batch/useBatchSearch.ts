import { useNavigate, useSearch } from "@tanstack/react-router";
import { useCallback, useMemo } from "react";

interface BatchParams {
  /** `runs`, `day`, `edit`, or the list of tasks if unset. */
  tab?: string | undefined;
  /** The opened task. */
  task?: string | undefined;
  /** The part of the opened task: `runs`, `schedule` …, or its overview if unset. */
  view?: string | undefined;
  /** Words in a task's name, owner, tags or agents. */
  q?: string | undefined;
  /** The state that the list of tasks is limited to. */
  state?: string | undefined;
  /** A run, opened next to the current content. */
  run?: string | undefined;
  /** The displayed day in the reader's time zone; today if unset. */
  day?: string | undefined;
  outcome?: string | undefined;
  exit?: string | undefined;
  agent?: string | undefined;
  /** Times in the reader's time zone: `2026-11-21T02:30`, or a day. */
  from?: string | undefined;
  to?: string | undefined;
}

export interface BatchSearch extends BatchParams {
  set: (change: BatchParams) => void;
}

/** Returns the parameters of the batch screen in the address. */
export function useBatchSearch(): BatchSearch {
  const search = useSearch({ strict: false }) as Record<string, unknown>;
  const navigate = useNavigate();
  const set = useCallback((change: BatchParams) => void navigate({ to: ".", search: (before: object) => ({ ...before, ...change }), replace: true }), [navigate]);
  return useMemo(() => {
    // The router parses digits as numbers, such as an exit code, or the name of a task called 7.
    const text = (key: keyof BatchParams) => (search[key] === undefined ? undefined : String(search[key]));
    return { tab: text("tab"), task: text("task"), view: text("view"), q: text("q"), state: text("state"), run: text("run"), day: text("day"), outcome: text("outcome"), exit: text("exit"), agent: text("agent"), from: text("from"), to: text("to"), set };
  }, [search, set]);
}

/** Converts `2026-11-21T02:30` in the reader's time zone, or the start of a day, to Unix microseconds; undefined if the text is neither. */
export function clockUs(text: string | undefined, daysLater = 0): number | undefined {
  const [, year, month, date, hour = "0", minute = "0"] = /^(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d))?$/.exec(text ?? "") ?? [];
  if (year === undefined) return undefined;
  const us = new Date(Number(year), Number(month) - 1, Number(date) + daysLater, Number(hour), Number(minute)).getTime() * 1000;
  return us > 0 ? us : undefined;
}
