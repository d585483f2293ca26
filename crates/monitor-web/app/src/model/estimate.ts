/** How far a running process is and how long it still takes. Pure; durations are ns. */

interface Running {
  state: string;
  started_us: number | null;
  progress?: { done: number; total: number | null } | null;
  /** The median of those of its name that ended before. */
  expected_ns?: number | null;
  expected_p95_ns?: number | null;
}

export interface Estimate {
  /** From 0 to 1. */
  part: number;
  /** Negative: by how much it takes longer than expected. Null where there is no saying. */
  leftNs: number | null;
  /** What it says of itself, or what those of its name took before. */
  from: "progress" | "history";
  p50: number;
  p95: number | null;
  /** How many times the median it has taken. */
  times: number;
}

/** Undefined where nothing is known, or nothing runs. */
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
  // Beyond what nearly all took before nothing is late yet; but no time left is known either.
  return { part: Math.min(1, tookNs / p50), leftNs: p50 - tookNs, from: "history", ...history };
}
