import type { ReactNode } from "react";
import { tickTime, timeTicks } from "../../model/axes.ts";

export interface Tick {
  /** Share of the axis before it, from 0 to 1. */
  at: number;
  text: string;
}

/** The frame around a chart: values at its left and times below it. */
export function Axes({ values, fromUs, toUs, children }: { values: readonly Tick[]; fromUs: number; toUs: number; children: ReactNode }) {
  return (
    <div className="axes">
      <div className="values number dim" aria-hidden="true">
        {values.map(({ at, text }) => (
          <span key={at} style={{ bottom: `${at * 100}%` }}>
            {text}
          </span>
        ))}
      </div>
      {children}
      <div className="times number dim" aria-hidden="true">
        {timeTicks(fromUs, toUs).map((time) => (
          <span key={time} style={{ left: `${((time - fromUs) / (toUs - fromUs)) * 100}%` }}>
            {tickTime(time)}
          </span>
        ))}
      </div>
    </div>
  );
}

/** Returns the place of a duration on a logarithmic axis, from 0 to 1. */
export function logShare(value: number, from: number, to: number): number {
  return Math.log(value / from) / Math.log(to / from);
}
