import type { BatchExplained } from "../api/types.ts";

/** Consecutive due times with the same decision. */
export interface DueRow extends BatchExplained {
  /** The last due time, if its time is known. */
  last_us: number;
}

/** Merges consecutive due times of an agent with the same decision and reason. A row of several due times names no run. */
export function foldDues(due: readonly BatchExplained[]): DueRow[] {
  const rows: DueRow[] = [];
  for (const one of due) {
    const before = rows.findLast(({ agent }) => agent === one.agent);
    if (before !== undefined && before.decision === one.decision && before.reason === one.reason && before.version === one.version) {
      Object.assign(before, { last_us: one.due_us, count: before.count + one.count, run: null });
    } else {
      rows.push({ ...one, last_us: one.due_us });
    }
  }
  return rows;
}
