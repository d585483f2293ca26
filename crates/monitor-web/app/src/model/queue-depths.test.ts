import { expect, test } from "vitest";
import { queuesOf } from "./queue-depths.ts";

test("the longest queue is first, with its last minutes", () => {
  const fields = {
    "celery.queues": { mail: { waiting: 3, consumers: 0, priorities: { "9": 1, "0": 2, "3": "x" } }, video: { waiting: 12, consumers: null, oldest_us: 5, sent_per_minute: 7, ended_per_minute: 0 }, idle: { waiting: 0, consumers: 2 } },
    "celery.queues.recent": { video: [4, null, 12] },
  };
  expect(queuesOf(fields)).toEqual([
    { name: "video", waiting: 12, consumers: undefined, priorities: [], oldestUs: 5, lastMinute: { sent: 7, ended: 0 }, recent: [4, null, 12] },
    { name: "mail", waiting: 3, consumers: 0, priorities: [["0", 2], ["9", 1]], oldestUs: undefined, lastMinute: undefined, recent: [] },
    { name: "idle", waiting: 0, consumers: 2, priorities: [], oldestUs: undefined, lastMinute: undefined, recent: [] },
  ]);
});

test("fields of any other shape have no queues", () => {
  for (const queues of [undefined, null, 7, "x", [], [{ waiting: 1 }], { a: null, b: 7, c: { waiting: "1" } }]) {
    expect(queuesOf({ "celery.queues": queues, "celery.queues.recent": queues })).toEqual([]);
  }
});
