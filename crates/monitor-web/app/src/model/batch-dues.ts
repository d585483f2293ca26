import type { BatchExplained } from "../api/types.ts";

/** Due times in a row that have one answer. */
export interface DueRow extends BatchExplained {
  /** The last of them, as far as its time is known. */
  last_us: number;
}

/** Puts due times of one agent together that follow each other with the same decision for the same reason. Of several, no run is named. */
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
