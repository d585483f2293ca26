/** Positions of runs in a scatter plot of start time and duration. Pure. */

export interface Run {
  root_id: string;
  /** Id of the process; null for the root itself. */
  id: string | null;
  state: string;
  started_us: number | null;
  elapsed_ns: number | null;
}

export interface Scatter {
  points: { run: Run; x: number; y: number }[];
  p50: number;
  least: number;
  most: number;
  medianY: number;
}

const EDGE = 8;

/** Positions the runs from left to right, with a logarithmic scale of durations; undefined if none has ended. */
export function scatter(runs: readonly Run[], { width, height }: { width: number; height: number }): Scatter | undefined {
  const ended = runs.filter((run) => run.elapsed_ns !== null && run.started_us !== null).sort((a, b) => (a.started_us ?? 0) - (b.started_us ?? 0));
  if (ended.length === 0) return undefined;
  const times = ended.map((run) => Math.max(1, run.elapsed_ns ?? 1)).sort((a, b) => a - b);
  const least = times[0] as number;
  const most = times[times.length - 1] as number;
  const p50 = times[(times.length - 1) >> 1] as number;
  // Use at least this range, so that small differences don't fill the plot.
  const low = Math.log(Math.min(least, p50 / 2));
  const high = Math.log(Math.max(most, p50 * 2));
  const y = (time: number) => height - EDGE - ((Math.log(Math.max(1, time)) - low) / (high - low)) * (height - 2 * EDGE);
  const step = (width - 2 * EDGE) / Math.max(1, ended.length - 1);
  return { points: ended.map((run, index) => ({ run, x: EDGE + index * step, y: y(run.elapsed_ns ?? 1) })), p50, least, most, medianY: y(p50) };
}
