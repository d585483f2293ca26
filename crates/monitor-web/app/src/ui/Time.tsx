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

/** How long it took; ticks while it runs. */
export function Duration({ process }: { process: Timed }) {
  const runs = (process.state === "running" || process.state === "retrying") && process.elapsed_ns === null;
  const time = elapsed(process, timeOfDay());
  if (time === null) return <span className="number dim">–</span>;
  return runs ? <Running process={process} /> : <DurationText nanoseconds={time} />;
}

/** Longer ones change once a second. */
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

/** Changes the text that React has put there, and nothing but it. */
function setText(element: HTMLElement | null, text: string): void {
  const node = element?.firstChild;
  if (node && node.nodeValue !== text) node.nodeValue = text;
}

/** A duration whose unit stands below those of the rows above. */
export function DurationText({ nanoseconds }: { nanoseconds: number }) {
  const [value, unit] = splitUnit(duration(nanoseconds, locale));
  return (
    <span className="number">
      {value}
      <span className="unit">{unit}</span>
    </span>
  );
}

/** How long ago; the exact time on hover. */
export function Ago({ timeUs }: { timeUs: number | null }) {
  const text = useRef<HTMLSpanElement>(null);
  useEffect(() => (timeUs === null ? undefined : onTick("slow", (at) => setText(text.current, ago(timeUs, at, locale)))), [timeUs]);
  if (timeUs === null) return <span className="dim">–</span>;
  // Made when it is looked at: a list has many.
  const tell = ({ currentTarget }: React.PointerEvent<HTMLElement>) => (currentTarget.title = `${absolute(timeUs)} ${zoneName(timeUs)}`);
  return (
    <span ref={text} onPointerEnter={tell}>
      {ago(timeUs, timeOfDay(), locale)}
    </span>
  );
}

/** A time as it stands on the reader's clock. */
export function At({ timeUs }: { timeUs: number }) {
  return (
    <time className="mono" dateTime={new Date(timeUs / 1000).toISOString()} title={zoneName(timeUs)}>
      {absolute(timeUs).slice(0, 19)}
    </time>
  );
}
