import { expect, test } from "vitest";
import { foldDues } from "./batch-dues.ts";

const due = (due_us: number, decision: string, agent = "a", count = 1) => ({ due_us, count, decision, reason: null, agent, version: 1, run: `gold@${due_us}.1` });

test("due times that follow each other with one answer are a row, each agent's for itself", () => {
  const rows = foldDues([due(1, "started"), due(1, "missed", "b"), due(2, "started"), due(3, "skipped", "a", 5), due(4, "started"), due(5, "missed", "b")]);
  expect(rows.map(({ due_us, last_us, count, decision, agent, run }) => [due_us, last_us, count, decision, agent, run])).toEqual([
    [1, 2, 2, "started", "a", null],
    [1, 5, 2, "missed", "b", null],
    [3, 3, 5, "skipped", "a", "gold@3.1"],
    [4, 4, 1, "started", "a", "gold@4.1"],
  ]);
  expect(foldDues([])).toEqual([]);
});
