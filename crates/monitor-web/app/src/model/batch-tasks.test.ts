import { expect, test } from "vitest";
import { matchesTask, tabsOf, taskState } from "./batch-tasks.ts";

type Task = Parameters<typeof taskState>[0];

const run = (outcome: string) => ({ outcome }) as NonNullable<Task["last_run"]>;
const task = (of: Partial<Task>): Task => ({ name: "gold", status: "active", paused_by: null, failed_in_a_row: 0, runs: [], definition: {}, agent: null, ...of });

test("a task shows what it does, otherwise what needs attention", () => {
  const failed = { last_run: run("failed"), failed_in_a_row: 2 };
  const cases: [Partial<Task>, string, string[]][] = [
    [{}, "pending", []],
    [{ last_run: run("succeeded") }, "succeeded", []],
    [failed, "failed", ["failing"]],
    [{ ...failed, last_run: run("lost") }, "lost", ["failing"]],
    [{ ...failed, runs: [run("failed"), run("running")] as unknown as Task["runs"] }, "running", ["failing", "running"]],
    [{ missed_us: 1, last_run: run("succeeded") }, "missed", ["missed"]],
    [{ status: "paused", last_run: run("succeeded") }, "paused", ["paused"]],
    [{ paused_by: "agent" }, "paused", ["paused"]],
    [{ ...failed, status: "paused" }, "failed", ["failing", "paused"]],
  ];
  for (const [of, state, tabs] of cases) {
    expect(taskState(task(of)), JSON.stringify(of)).toBe(state);
    expect(tabsOf(task(of))).toEqual(tabs);
  }
});

test("each word is found in the name, the owner, a tag or an agent", () => {
  const of = task({ definition: { owner: ["ada@example.org", "ops"], tags: ["Prices"], on: ["db-1"] } });
  for (const text of ["gold", "GOLD ops", "price", "db-1 ada"]) expect(matchesTask(of, text), text).toBe(true);
  for (const text of ["silver", "gold silver"]) expect(matchesTask(of, text), text).toBe(false);
  expect(matchesTask(task({ agent: "local" }), "local")).toBe(true);
});
