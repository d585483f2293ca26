import { expect, test } from "vitest";
import type { Worker } from "../api/types.ts";
import { beatStrip, groupWorkers, isPresent, sharedDomain } from "./workers.ts";

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

test("workers of a program on a host are together, and those that said goodbye are none of them unless they are wanted", () => {
  const worker = (program: string, hostname: string, state: string) => ({ program, hostname, state }) as Worker;
  const all = [worker("load", "a.example.org", "lost"), worker("store", "a.example.org", "online"), worker("load", "a.example.org", "online"), worker("load", "b.example.org", "offline")];
  expect(groupWorkers(all).map(({ program, hostname, workers }) => [program, hostname, workers.length])).toEqual([["load", "a.example.org", 2], ["store", "a.example.org", 1], ["load", "b.example.org", 1]]);
  expect(all.filter(isPresent).length).toBe(3);
});

test("what all hosts end with says nothing", () => {
  expect(sharedDomain(["a.example.org", "b.example.org", "a.example.org"])).toBe(".example.org");
  expect(sharedDomain(["a.one.example.org", "b.two.example.org"])).toBe(".example.org");
  expect(sharedDomain(["a.example.org", "b"])).toBe("");
  expect(sharedDomain(["a.example.org"])).toBe("");
  expect(sharedDomain([".example.org", "x.example.org"])).toBe("");
  expect(sharedDomain([])).toBe("");
});
