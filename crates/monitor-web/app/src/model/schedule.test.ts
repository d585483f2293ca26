import { expect, test } from "vitest";
import { readSchedule } from "./schedule.ts";

test("common rules are read", () => {
  const cases: [string, object][] = [
    ["*/2 * * * *", { kind: "every", seconds: 120 }],
    ["* * * * *", { kind: "every", seconds: 60 }],
    ["@every 90s", { kind: "every", seconds: 90 }],
    ["@every 1h30m", { kind: "every", seconds: 5400 }],
    ["*/10 * * * * *", { kind: "every", seconds: 10 }],
    ["0 * * * *", { kind: "hourly", minute: 0, hours: 1 }],
    ["@hourly", { kind: "hourly", minute: 0, hours: 1 }],
    ["15 */6 * * *", { kind: "hourly", minute: 15, hours: 6 }],
    ["30 2 * * *", { kind: "daily", times: ["02:30"], days: [] }],
    ["0 30 2 * * ?", { kind: "daily", times: ["02:30"], days: [] }],
    ["5 8,20 * * *", { kind: "daily", times: ["08:05", "20:05"], days: [] }],
    ["30 2 * * 1-5", { kind: "daily", times: ["02:30"], days: [1, 2, 3, 4, 5] }],
    ["0 4 * * sun,Sat", { kind: "daily", times: ["04:00"], days: [6, 0] }],
    ["0 4 * * 5-7", { kind: "daily", times: ["04:00"], days: [5, 6, 0] }],
    ["@weekly", { kind: "daily", times: ["00:00"], days: [0] }],
    ["0 6 1 * *", { kind: "monthly", times: ["06:00"], day: 1 }],
    ["2026-12-24T18:00", { kind: "once", at: "2026-12-24 18:00" }],
    ["2026-12-24T18:00Z", { kind: "once", at: "2026-12-24 18:00 UTC" }],
    ["@reboot", { kind: "boot" }],
  ];
  for (const [rule, expected] of cases) expect(readSchedule(rule), rule).toEqual(expected);
});

test("all other rules keep their text", () => {
  // Uneven steps restart each hour; a day of the month and one of the week are either.
  for (const rule of ["*/7 * * * *", "H 2 * * *", "0 0 L * *", "0 0 * * FRI#2", "0 0 1 1 *", "0 0 1 * 1", "0 1,2,3,4 * * *", "0 0 12 1 1 ? 2027", "1 2 3", "@every soon", "@yearly", "0 25 * * *", "0 0 * * 8"]) {
    expect(readSchedule(rule)).toEqual({ kind: "other", text: rule });
  }
});
