import { locale } from "../i18n.ts";
import { duration } from "../model/time.ts";

const WIDTH = 120;
const HEIGHT = 24;

/** A line of consecutive values, by default durations in nanoseconds. Unknown values are gaps. */
export function Sparkline({ values, label, text = asDuration }: { values: readonly (number | null)[]; label: string; text?: (value: number) => string }) {
  const known = values.filter((value) => value !== null);
  if (known.length < 2) return null;
  const most = Math.max(...known);
  const least = Math.min(...known);
  const step = (WIDTH - 4) / Math.max(1, values.length - 1);
  const y = (value: number) => HEIGHT - 3 - (most === 0 ? 0 : (value / most) * (HEIGHT - 6));
  const points = values.flatMap((value, index) => (value === null ? [] : [`${(2 + index * step).toFixed(1)},${y(value).toFixed(1)}`]));
  const [last = ""] = points.slice(-1);
  const [x = "0", lastY = "0"] = last.split(",");
  return (
    <svg className="sparkline" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} width={WIDTH} height={HEIGHT} role="img" aria-label={`${label}: ${text(least)} – ${text(most)}`}>
      <title>{`${text(least)} – ${text(most)}`}</title>
      <polyline points={points.join(" ")} fill="none" stroke="currentColor" />
      <circle cx={x} cy={lastY} r="2" fill="currentColor" />
    </svg>
  );
}

function asDuration(value: number): string {
  return duration(value, locale);
}
