import { expect, test } from "vitest";
import type { BatchPublication } from "../api/types.ts";
import { leftBefore, publicationBefore } from "./batch-publications.ts";

const published = (number: number, agent: string, target: string, state = "done"): BatchPublication => ({ number, agent, target, state, time_us: number, run: "r", by: "r", folder: null, files: 1, size_bytes: 1, restores: null, error: null, is_current: false });
const left = (run: string, agent: string, folder: string) => ({ run, agent, folder, files: 1, size_bytes: 1 });

test("the publication before is one of the same agent and target that was done", () => {
  const all = [published(9, "a", "prod"), published(8, "b", "prod"), published(7, "a", "pre"), published(6, "a", "prod", "failed"), published(5, "a", "prod")];
  expect(publicationBefore(all, all[0]!)).toEqual({ id: "5", agent: "a" });
  for (const of of all.slice(1)) expect(publicationBefore(all, of)?.id).toBe(of === all[3] ? "5" : undefined);
});

test("what the run before has left is of the same agent", () => {
  const all = [left("r3", "a", "202611/21_103005"), left("r2", "b", "202611/21_093005"), left("r1", "a", "202610/31_103005")];
  expect(leftBefore(all, all[0]!)).toEqual({ id: "r1", agent: "a" });
  expect(leftBefore(all, all[2]!)).toBeUndefined();
});
