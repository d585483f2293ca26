/** Estimates the progress and the remaining time of a running process. Pure; durations are ns. */

interface Running {
  state: string;
  started_us: number | null;
  progress?: { done: number; total: number | null } | null;
  /** Median duration of earlier processes with this name. */
  expected_ns?: number | null;
  expected_p95_ns?: number | null;
}

export interface Estimate {
  /** From 0 to 1. */
  part: number;
  /** Remaining time; negative if the process is overdue, null if unknown. */
  leftNs: number | null;
  /** Source of the estimate: the process's own progress, or the durations of earlier processes. */
  from: "progress" | "history";
  p50: number;
  p95: number | null;
  /** Elapsed time in multiples of the median. */
  times: number;
}

/** Returns undefined if nothing is known or the process does not run. */
export function estimate(process: Running, nowUs: number): Estimate | undefined {
  const { state, started_us, progress, expected_ns, expected_p95_ns } = process;
  if (state !== "running" || started_us === null) return undefined;
  const tookNs = Math.max(0, nowUs - started_us) * 1000;
  const p50 = expected_ns ?? 0;
  const history = { p50, p95: expected_p95_ns ?? null, times: p50 > 0 ? tookNs / p50 : 0 };
  if (progress && progress.total !== null && progress.total > 0) {
    const part = Math.min(1, Math.max(0, progress.done / progress.total));
    return { part, leftNs: part > 0 ? (tookNs * (1 - part)) / part : null, from: "progress", ...history };
  }
  if (p50 <= 0) return undefined;
  // Between the median and the 95th percentile, the process is not overdue, but the remaining time is unknown.
  return { part: Math.min(1, tookNs / p50), leftNs: p50 - tookNs, from: "history", ...history };
}
