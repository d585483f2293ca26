import { expect, test } from "vitest";
import { beatStrip } from "./workers.ts";

const SECOND = 1e6;
const every = { heartbeat_interval_ms: 1000 };

test("heartbeats are cells: heard, missed, and before the first one unseen", () => {
  const beats = [10, 11, 12, 15].map((second) => second * SECOND);
  expect(beatStrip(beats, every, 15 * SECOND, 7)).toEqual(["unseen", "heard", "heard", "heard", "heard", "missed", "heard"]);
  expect(beatStrip([10 * SECOND], every, 14 * SECOND, 3)).toEqual(["missed", "missed", "missed"]);
});

test("without a promise or a heartbeat there is no strip", () => {
  expect(beatStrip([1], { heartbeat_interval_ms: null }, 5, 3)).toEqual([]);
  expect(beatStrip([], every, 5, 3)).toEqual([]);
});
