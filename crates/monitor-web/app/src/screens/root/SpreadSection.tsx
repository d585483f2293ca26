import { count, locale, t } from "../../i18n.ts";
import { bins, type Histogram, type Spread } from "../../model/histogram.ts";
import { duration } from "../../model/time.ts";
import { Row, Section } from "./facts.tsx";

const BINS = 40;
const HEIGHT = 56;

/** Durations of many similar processes. */
export function SpreadSection({ histogram, spread }: { histogram: Histogram; spread: Spread }) {
  const time = (nanoseconds: number) => <span className="number">{duration(nanoseconds, locale)}</span>;
  return (
    <>
      <Chart histogram={histogram} />
      <Section title={t("spread.title")}>
        <Row label="p50">{time(spread.p50)}</Row>
        <Row label="p95">{time(spread.p95)}</Row>
        <Row label="p99">{time(spread.p99)}</Row>
        <Row label={t("spread.mean")}>{time(spread.total / Math.max(1, spread.count))}</Row>
        <Row label={t("spread.min")}>{time(spread.min)}</Row>
        <Row label={t("spread.max")}>{time(spread.max)}</Row>
        <Row label={t("fold.total")}>{time(spread.total)}</Row>
      </Section>
    </>
  );
}

/** Bars on a logarithmic scale of time. */
function Chart({ histogram }: { histogram: Histogram }) {
  const made = bins(histogram, BINS);
  const first = made[0];
  const last = made[made.length - 1];
  if (!first || !last) return null;
  const most = Math.max(...made.map((bin) => bin.count));
  const width = 100 / made.length;
  const range = (from: number, to: number) => `${duration(from, locale)} – ${duration(to, locale)}`;
  return (
    <figure className="histogram">
      <svg viewBox={`0 0 100 ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={t("spread.chart", { range: range(first.from, last.to) })}>
        {made.map((bin, index) => {
          const height = bin.count === 0 ? 0 : Math.max(1.5, (bin.count / most) * HEIGHT);
          return (
            <g key={bin.from}>
              <title>{`${range(bin.from, bin.to)}: ${count(bin.count)}`}</title>
              <rect className="room" x={index * width} width={width} y={0} height={HEIGHT} />
              <rect x={index * width} width={width * 0.85} y={HEIGHT - height} height={height} />
            </g>
          );
        })}
      </svg>
      <figcaption className="number dim">
        <span>{duration(first.from, locale)}</span>
        <span>{duration(last.to, locale)}</span>
      </figcaption>
    </figure>
  );
}
