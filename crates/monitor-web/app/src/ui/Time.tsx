import { useEffect, useRef } from "react";
import { timeOfDay } from "../clock.ts";
import { locale } from "../i18n.ts";
import { absolute, ago, duration, elapsed, splitUnit, zoneName } from "../model/time.ts";
import { onTick } from "./now.ts";

interface Timed {
  state: string;
  started_us: number | null;
  ended_us: number | null;
  elapsed_ns: number | null;
}

/** The duration of a process, updated while it runs. */
export function Duration({ process }: { process: Timed }) {
  const runs = (process.state === "running" || process.state === "retrying") && process.elapsed_ns === null;
  const time = elapsed(process, timeOfDay());
  if (time === null) return <span className="number dim">–</span>;
  return runs ? <Running process={process} /> : <DurationText nanoseconds={time} />;
}

/** Longer durations are updated once a second. */
const YOUNG_NS = 60e9;

function Running({ process }: { process: Timed }) {
  const [value, unit] = [useRef<HTMLSpanElement>(null), useRef<HTMLSpanElement>(null)];
  const newest = useRef(process);
  newest.current = process;
  const now = elapsed(process, timeOfDay()) ?? 0;
  const isYoung = now < YOUNG_NS;
  useEffect(
    () =>
      onTick(isYoung ? "fast" : "slow", (at) => {
        const [text, of] = splitUnit(duration(elapsed(newest.current, at) ?? 0, locale));
        setText(value.current, text);
        setText(unit.current, of);
      }),
    [isYoung],
  );
  const [text, of] = splitUnit(duration(now, locale));
  return (
    <span className="number">
      <span ref={value}>{text}</span>
      <span className="unit" ref={unit}>
        {of}
      </span>
    </span>
  );
}

/** Changes the text node that React has created, without rendering. */
function setText(element: HTMLElement | null, text: string): void {
  const node = element?.firstChild;
  if (node && node.nodeValue !== text) node.nodeValue = text;
}

/** A duration whose unit is aligned with those of other rows. */
export function DurationText({ nanoseconds }: { nanoseconds: number }) {
  const [value, unit] = splitUnit(duration(nanoseconds, locale));
  return (
    <span className="number">
      {value}
      <span className="unit">{unit}</span>
    </span>
  );
}

/** Time since an event; the exact time is shown on hover. */
export function Ago({ timeUs }: { timeUs: number | null }) {
  const text = useRef<HTMLSpanElement>(null);
  useEffect(() => (timeUs === null ? undefined : onTick("slow", (at) => setText(text.current, ago(timeUs, at, locale)))), [timeUs]);
  if (timeUs === null) return <span className="dim">–</span>;
  // The title is only created on hover, because a list has many.
  const tell = ({ currentTarget }: React.PointerEvent<HTMLElement>) => (currentTarget.title = `${absolute(timeUs)} ${zoneName(timeUs)}`);
  return (
    <span ref={text} onPointerEnter={tell}>
      {ago(timeUs, timeOfDay(), locale)}
    </span>
  );
}

/** A time in the reader's time zone. */
export function At({ timeUs }: { timeUs: number }) {
  return (
    <time className="mono" dateTime={new Date(timeUs / 1000).toISOString()} title={zoneName(timeUs)}>
      {absolute(timeUs).slice(0, 19)}
    </time>
  );
}
