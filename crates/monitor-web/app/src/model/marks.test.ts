import { expect, test } from "vitest";
import { LastRuns } from "./marks.ts";

const run = (number: number, started_us: number | null, state = "succeeded", begun_us?: number) => ({ name: "import", root_id: `${number}`, number, state, started_us, elapsed_ns: number, ...(begun_us !== undefined && { begun_us }) });

test("the last runs stand in the order of their starts, whatever their numbers", () => {
  // Number 9 was received last, and started first.
  const [old, first, second, third] = [run(9, 10, "failed"), run(1, 20), run(3, 30), run(2, 40)];
  const runs = new LastRuns([{ name: "import", roots: [third, second, first, old] }], []);
  expect(runs.marks(third, 12)).toBe("failed:9 succeeded:1 succeeded:3 succeeded:2");
  expect(runs.marks(second, 12)).toBe("failed:9 succeeded:1 succeeded:3");
  expect(runs.marks(second, 2)).toBe("succeeded:1 succeeded:3");
  expect(runs.marks(old, 12)).toBe("failed:9");
});

test("equal starts are told apart by the number, and a run in sight is newer than what was read", () => {
  const [first, second] = [run(1, 10, "running"), run(2, 10)];
  const runs = new LastRuns([{ name: "import", roots: [second, first] }], [run(1, 10, "lost")]);
  expect(runs.marks(second, 12)).toBe("lost:1 succeeded:2");
  expect(runs.marks(first, 12)).toBe("lost:1");
});

test("a run that waits stands where it was heard of", () => {
  const waits = run(2, null, "pending", 30);
  const runs = new LastRuns([], [run(1, 20), waits, run(3, 40)]);
  expect(runs.marks(waits, 12)).toBe("succeeded:1 pending:2");
  expect(runs.marks({ ...waits, name: "unknown" }, 12)).toBe("");
});
