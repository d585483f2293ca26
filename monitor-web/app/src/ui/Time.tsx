import { locale } from "../i18n.ts";
import { absolute, ago, duration, elapsed, splitUnit, zoneName } from "../model/time.ts";
import { useNow } from "./now.ts";

interface Timed {
  state: string;
  started_us: number | null;
  ended_us: number | null;
  elapsed_ns: number | null;
}

/** How long it took; ticks while it runs. */
export function Duration({ process }: { process: Timed }) {
  const runs = process.state === "running" && process.elapsed_ns === null;
  const time = elapsed(process, useNow(runs ? "fast" : "never"));
  if (time === null) return <span className="number dim">–</span>;
  return <DurationText nanoseconds={time} />;
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
  const nowUs = useNow(timeUs === null ? "never" : "slow");
  if (timeUs === null) return <span className="dim">–</span>;
  // Made when it is looked at: a list has many.
  const tell = ({ currentTarget }: React.PointerEvent<HTMLElement>) => (currentTarget.title = `${absolute(timeUs)} ${zoneName(timeUs)}`);
  return <span onPointerEnter={tell}>{ago(timeUs, nowUs, locale)}</span>;
}
