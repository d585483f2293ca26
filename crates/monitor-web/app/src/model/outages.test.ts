import { expect, test } from "vitest";
import { lanesOf } from "./outages.ts";

const alert = (id: number, subject: string, since_us: number, resolved_us: number | null) => ({ id, subject, cause: "failed", since_us, resolved_us });

test("each subject has a lane, and who was out last comes first", () => {
  const lanes = lanesOf([alert(1, "task:gold", 100, 200), alert(2, "task:silver", 150, 900), alert(3, "task:gold", 500, 600)], 0, 1000);
  expect(lanes.map(({ subject, outages, totalUs }) => [subject, outages.map(({ id, left, width }) => [id, left, width]), totalUs])).toEqual([
    ["task:silver", [[2, 15, 75]], 750],
    ["task:gold", [[1, 10, 10], [3, 50, 10]], 200],
  ]);
});

test("what lasts ends now, what began before is cut, and what is outside isn't there", () => {
  const lanes = lanesOf([alert(1, "a", 0, null), alert(2, "b", 0, 99), alert(3, "c", 1001, null), alert(4, "d", 50, 100)], 100, 1000);
  expect(lanes.map(({ subject }) => subject)).toEqual(["a", "d"]);
  expect(lanes[0]?.outages[0]).toMatchObject({ fromUs: 100, untilUs: 1000, isFiring: true, left: 0, width: 100 });
  expect(lanes[1]?.outages[0]).toMatchObject({ left: 0, width: 0, isFiring: false });
});

test("outages of two rules at the same time count once", () => {
  const [lane] = lanesOf([alert(1, "a", 100, 300), alert(2, "a", 200, 400), alert(3, "a", 250, 260)], 0, 1000);
  expect(lane?.totalUs).toBe(300);
});

test("a clock that was set back makes no outage of less than nothing", () => {
  const [lane] = lanesOf([alert(1, "a", 500, 400)], 0, 1000);
  expect([lane?.outages[0]?.width, lane?.totalUs]).toEqual([0, 0]);
});
