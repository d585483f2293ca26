import { locale } from "../i18n.ts";
import { duration } from "../model/time.ts";

const WIDTH = 120;
const HEIGHT = 24;

/** A line of consecutive durations; unknown values are gaps. */
export function Sparkline({ values, label }: { values: readonly (number | null)[]; label: string }) {
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
    <svg className="sparkline" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} width={WIDTH} height={HEIGHT} role="img" aria-label={`${label}: ${duration(least, locale)} – ${duration(most, locale)}`}>
      <title>{`${duration(least, locale)} – ${duration(most, locale)}`}</title>
      <polyline points={points.join(" ")} fill="none" stroke="currentColor" />
      <circle cx={x} cy={lastY} r="2" fill="currentColor" />
    </svg>
  );
}
