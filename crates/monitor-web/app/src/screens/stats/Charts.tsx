import { useEffect, useMemo, useRef, useState } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import type { StatsSeries } from "../../api/types.ts";
import { count, locale, t } from "../../i18n.ts";
import { countTicks, durationRange, durationTicks, timeTicks } from "../../model/axes.ts";
import { linesOf } from "../../model/stats.ts";
import { absolute, duration, step } from "../../model/time.ts";
import { Axes, logShare } from "./Axes.tsx";

const HEIGHT = 160;

interface Props {
  series: StatsSeries;
  /** A stretch of time was chosen, in whole Unix µs. */
  onZoom: (fromUs: number, toUs: number) => void;
}

/** Number and durations of ended processes over time. Dragging selects a period. */
export function Charts({ series, onZoom }: Props) {
  const drawn = useMemo(() => {
    const { times, succeeded, failed, p50, p95 } = linesOf(series);
    const counts = countTicks(Math.max(...succeeded, ...failed));
    const [from, to] = durationRange([...p50, ...p95]);
    const data = (...lines: (number | null)[][]): uPlot.AlignedData => [times, ...lines];
    return {
      counts: { data: data(succeeded, failed), values: { from: 0, to: counts.at(-1) ?? 1, ticks: counts, isLogarithmic: false } },
      durations: { data: data(p50, p95), values: { from, to, ticks: durationTicks(from, to), isLogarithmic: true } },
    };
  }, [series]);
  const { from_us: fromUs, to_us: toUs, step_us: stepUs } = series;
  const shared = { fromUs, toUs, stepUs, onZoom };
  return (
    <>
      <Chart {...shared} {...drawn.counts} title={t("stats.throughput", { step: step(stepUs * 1000, locale) })} lines={COUNTS} text={count} />
      <Chart {...shared} {...drawn.durations} title={t("stats.durations")} lines={DURATIONS} text={durationText} />
    </>
  );
}

const durationText = (value: number) => duration(value, locale);

interface Line {
  /** Also selects the mark in the legend. */
  key: string;
  label: () => string;
  colour: string;
}

const COUNTS: readonly Line[] = [
  { key: "succeeded", label: () => t("state.succeeded"), colour: "--bar-succeeded" },
  { key: "failed", label: () => t("state.failed"), colour: "--bar-failed" },
];
const DURATIONS: readonly Line[] = [
  { key: "p50", label: () => t("stats.column.p50"), colour: "--bar-running" },
  { key: "p95", label: () => t("stats.column.p95"), colour: "--bar-lost" },
];

interface ChartProps {
  title: string;
  fromUs: number;
  toUs: number;
  stepUs: number;
  data: uPlot.AlignedData;
  lines: readonly Line[];
  values: { from: number; to: number; ticks: readonly number[]; isLogarithmic: boolean };
  text: (value: number) => string;
  onZoom: (fromUs: number, toUs: number) => void;
}

function Chart(props: ChartProps) {
  const { title, fromUs, toUs, stepUs, data, lines, values, text } = props;
  const box = useRef<HTMLDivElement>(null);
  const onZoom = useRef(props.onZoom);
  onZoom.current = props.onZoom;
  const pointer = useRef({ left: -1, top: -1 });
  /** Index of the step at the pointer. */
  const [at, setAt] = useState<number | null>(null);
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    let plot: uPlot | undefined;
    const make = () => {
      plot?.destroy();
      const onPoint = ({ left = -1, top = -1, idx }: uPlot.Cursor) => {
        pointer.current = { left, top };
        setAt(idx ?? null);
      };
      const before = pointer.current;
      plot = new uPlot(options(element, props, onPoint, (from, to) => onZoom.current(from, to)), data, element);
      // Values stay when the data are refreshed.
      plot.setCursor(before);
    };
    make();
    // Colours are read when it is made.
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    const observer = new MutationObserver(make);
    observer.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    scheme.addEventListener("change", make);
    const sizes = new ResizeObserver(() => plot?.setSize({ width: element.clientWidth, height: HEIGHT }));
    sizes.observe(element);
    return () => {
      observer.disconnect();
      scheme.removeEventListener("change", make);
      sizes.disconnect();
      plot?.destroy();
    };
  }, [data]);
  const time = at === null ? undefined : data[0][at];
  const share = (value: number) => (values.isLogarithmic ? logShare(value, values.from, values.to) : (value - values.from) / (values.to - values.from));
  return (
    <figure className="chart">
      <figcaption>
        {title}
        <span className="legend">
          {lines.map(({ key, label }, index) => {
            const value = at === null ? undefined : data[index + 1]?.[at];
            return (
              <span key={key} data-line={key}>
                {label()} {at !== null && <b className="number">{value == null ? "–" : text(value)}</b>}{" "}
              </span>
            );
          })}
          {time !== undefined && <span className="number">{absolute(time * 1e6 - stepUs / 2).slice(5, 16)}</span>}
        </span>
      </figcaption>
      <Axes values={values.ticks.map((value) => ({ at: share(value), text: text(value) }))} fromUs={fromUs} toUs={toUs}>
        <div ref={box} className="plot" />
      </Axes>
    </figure>
  );
}

function options(element: HTMLElement, { fromUs, toUs, lines, values }: ChartProps, onPoint: (cursor: uPlot.Cursor) => void, onZoom: ChartProps["onZoom"]): uPlot.Options {
  const colour = (name: string) => {
    element.style.color = `var(${name})`;
    const found = getComputedStyle(element).color;
    element.style.color = "";
    return found;
  };
  // Labels are elements of the page: the library draws the lines only.
  const axis = (places: readonly number[]): uPlot.Axis => ({ size: 0, gap: 0, grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, splits: () => [...places], filter: (_, all) => all, values: () => [] });
  return {
    width: element.clientWidth,
    height: HEIGHT,
    padding: [0, 0, 0, 0],
    legend: { show: false },
    scales: { x: { range: () => [fromUs / 1e6, toUs / 1e6] }, y: { distr: values.isLogarithmic ? 3 : 1, range: () => [values.from, values.to] } },
    axes: [axis(timeTicks(fromUs, toUs).map((time) => time / 1e6)), axis(values.ticks)],
    series: [
      {},
      ...lines.map(({ key, colour: name }) => ({
        stroke: colour(name),
        ...(values.isLogarithmic ? { width: 2, points: { size: 4 }, spanGaps: true, ...(key === "p95" && { dash: [4, 3] }) } : { width: 0, fill: colour(name), points: { show: false }, paths: uPlot.paths.bars?.({ size: [0.9, 24] }) as uPlot.Series.PathBuilder }),
      })),
    ],
    cursor: { y: false, drag: { x: true, y: false, setScale: false } },
    hooks: {
      setCursor: [({ cursor }) => onPoint(cursor)],
      setSelect: [
        (plot) => {
          if (plot.select.width < 4) return;
          const at = (pixel: number) => Math.round(plot.posToVal(pixel, "x") * 1e6);
          onZoom(at(plot.select.left), at(plot.select.left + plot.select.width));
        },
      ],
    },
  };
}
