import { type Cause, keyOf } from "../../model/causes.ts";

const KEY = "monitor-seen-causes";
const MOST = 200;

/** Causes that the reader has opened in this browser: they are no longer new. */
export function seenCauses(): ReadonlySet<string> {
  try {
    return new Set(JSON.parse(localStorage.getItem(KEY) ?? "[]") as string[]);
  } catch {
    return new Set();
  }
}

/** Records that the reader has opened a cause. */
export function seeCause(cause: Cause): ReadonlySet<string> {
  const seen = [...seenCauses()].filter((key) => key !== keyOf(cause)).slice(1 - MOST);
  seen.push(keyOf(cause));
  localStorage.setItem(KEY, JSON.stringify(seen));
  return new Set(seen);
}
