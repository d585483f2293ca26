/** The current time as state: one timer for all running durations in sight, none without any. */
import { useSyncExternalStore } from "react";
import { timeOfDay } from "../clock.ts";

class Clock {
  private readonly listeners = new Set<() => void>();
  private timer: ReturnType<typeof setInterval> | undefined;
  private now = timeOfDay();

  constructor(private readonly everyMs: number) {}

  readonly get = () => this.now;

  readonly subscribe = (listener: () => void) => {
    this.listeners.add(listener);
    this.now = timeOfDay();
    this.timer ??= setInterval(() => {
      this.now = timeOfDay();
      for (const each of this.listeners) each();
    }, this.everyMs);
    return () => {
      this.listeners.delete(listener);
      if (this.listeners.size > 0) return;
      clearInterval(this.timer);
      this.timer = undefined;
    };
  };
}

const fast = new Clock(250);
const slow = new Clock(1000);
const never = { get: () => 0, subscribe: () => () => {} };

/** Calls `tick` with the time in µs, for as long as what is returned has not been called: for text that changes by itself, which React need not draw anew. */
export function onTick(pace: "fast" | "slow", tick: (nowUs: number) => void): () => void {
  const clock = pace === "fast" ? fast : slow;
  return clock.subscribe(() => tick(clock.get()));
}

/** The time in µs; four times a second for what runs, as often as its mark turns, once a second for what merely gets older. */
export function useNow(pace: "fast" | "slow" | "never"): number {
  const clock = pace === "fast" ? fast : pace === "slow" ? slow : never;
  return useSyncExternalStore(clock.subscribe, clock.get);
}
