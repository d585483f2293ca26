/** The current time as React state: one shared timer for all visible running durations; none if there are none. */
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

/** Calls `tick` with the time in µs until the returned function is called. For text that is updated without rendering. */
export function onTick(pace: "fast" | "slow", tick: (nowUs: number) => void): () => void {
  const clock = pace === "fast" ? fast : slow;
  return clock.subscribe(() => tick(clock.get()));
}

/** Returns the time in µs, updated four times a second (`fast`, for running durations) or once a second (`slow`). */
export function useNow(pace: "fast" | "slow" | "never"): number {
  const clock = pace === "fast" ? fast : pace === "slow" ? slow : never;
  return useSyncExternalStore(clock.subscribe, clock.get);
}
