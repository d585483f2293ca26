/** Finds contradictions between the times of a process and its parent. Pure; times are Unix µs. */

interface Timed {
  started_us: number | null;
  ended_us: number | null;
  elapsed_ns: number | null;
}

export type Oddity = "backwards" | "jumped" | "future" | "ancient" | "before-parent";

/** Earlier start times are implausible. */
const ANCIENT_US = Date.UTC(2000, 0, 1) * 1000;
/** Clocks of the same machine differ by less than this. */
const SLACK_US = 1e6;
/** A clock that is adjusted gradually deviates by less than this. */
const DRIFT = 0.05;

export function oddities(process: Timed, parent: Timed | undefined, nowUs: number): Oddity[] {
  const { started_us, ended_us, elapsed_ns } = process;
  const found: Oddity[] = [];
  if (started_us === null) return found;
  if (started_us < ANCIENT_US) found.push("ancient");
  if (started_us > nowUs + 5 * SLACK_US) found.push("future");
  if (ended_us !== null && ended_us < started_us) found.push("backwards");
  else if (ended_us !== null && elapsed_ns !== null && Math.abs(ended_us - started_us - elapsed_ns / 1000) > Math.max(SLACK_US, (elapsed_ns / 1000) * DRIFT)) found.push("jumped");
  if (parent?.started_us != null && started_us < parent.started_us - SLACK_US / 1000) found.push("before-parent");
  return found;
}
