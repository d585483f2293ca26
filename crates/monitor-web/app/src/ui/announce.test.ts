import { afterEach, expect, test, vi } from "vitest";
import { announce, announcements } from "./announce.ts";

afterEach(() => vi.useRealTimers());

test("what changes all the time is said once in five seconds, the newest of each kind", () => {
  vi.useFakeTimers();
  const heard: string[] = [];
  const stop = announcements.subscribe(() => heard.push(announcements.get()));
  announce("new", "1 new");
  vi.advanceTimersByTime(1);
  for (let count = 2; count <= 40; count += 1) {
    announce("new", `${count} new`);
    if (count === 20) announce("root", "nightly build: failed");
    vi.advanceTimersByTime(100);
  }
  expect(heard).toEqual(["1 new"]);
  vi.advanceTimersByTime(60_000);
  expect(heard).toEqual(["1 new", "40 new. nightly build: failed"]);
  stop();
  announce("new", "41 new");
  vi.runAllTimers();
  expect(heard.length).toBe(2);
});
