import { useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { count, locale, t } from "../../i18n.ts";
import type { Lines } from "../../model/stats.ts";
import { absolute, duration, step } from "../../model/time.ts";

const HEIGHT = 160;

interface Props {
  lines: Lines;
  stepUs: number;
  /** A stretch of time was chosen, in whole Unix µs. */
  onZoom: (fromUs: number, toUs: number) => void;
}

/** Number and durations of ended processes over time. Dragging selects a period. */
export function Charts({ lines, stepUs, onZoom }: Props) {
  const per = step(stepUs * 1000, locale);
  const { times, succeeded, failed, p50, p95 } = lines;
  return (
    <>
      <figure className="chart">
        <figcaption>{t("stats.throughput", { step: per })}</figcaption>
        <Chart
          data={[times, succeeded, failed]}
          series={[
            { label: t("state.succeeded"), colour: "--bar-succeeded", fill: true },
            { label: t("state.failed"), colour: "--bar-failed", fill: true },
          ]}
          text={(value) => count(value)}
          onZoom={onZoom}
        />
      </figure>
      <figure className="chart">
        <figcaption>{t("stats.durations")}</figcaption>
        <Chart
          data={[times, p50, p95]}
          series={[
            { label: "p50", colour: "--bar-running", fill: false },
            { label: "p95", colour: "--bar-lost", fill: false },
          ]}
          logarithmic
          text={(value) => duration(value, locale)}
          onZoom={onZoom}
        />
      </figure>
    </>
  );
}

interface ChartProps {
  data: uPlot.AlignedData;
  series: readonly { label: string; colour: string; fill: boolean }[];
  logarithmic?: boolean;
  text: (value: number) => string;
  onZoom: (fromUs: number, toUs: number) => void;
}

function Chart({ data, series, logarithmic = false, text, onZoom }: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const latest = useRef({ text, onZoom });
  latest.current = { text, onZoom };
  const labels = series.map(({ label }) => label).join();
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    let plot: uPlot | undefined;
    const make = () => {
      plot?.destroy();
      plot = new uPlot(options(element, series, logarithmic, latest), data, element);
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
  }, [data[0], data[1], labels, logarithmic]);
  return <div ref={box} className="plot" />;
}

function options(element: HTMLElement, series: ChartProps["series"], logarithmic: boolean, latest: { current: Pick<ChartProps, "text" | "onZoom"> }): uPlot.Options {
  const style = getComputedStyle(element);
  const colour = (name: string) => {
    element.style.color = `var(${name})`;
    const found = getComputedStyle(element).color;
    element.style.color = "";
    return found;
  };
  const [dim, line] = [colour("--dim"), colour("--line")];
  const axis = { stroke: dim, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, font: `11px ${style.fontFamily}` };
  return {
    width: element.clientWidth,
    height: HEIGHT,
    // A reader of logarithms expects no line at zero.
    scales: { y: logarithmic ? { distr: 3 } : { range: (_, __, most) => [0, Math.max(1, most * 1.05)] } },
    axes: [
      { ...axis, values: (_, times) => times.map((time) => absolute(time * 1e6).slice(5, 16)), space: 90 },
      { ...axis, size: 70, values: (_, values) => values.map((value) => (value === null || value === undefined ? "" : latest.current.text(value))) },
    ],
    series: [
      { label: t("logs.time"), value: (_, time) => (time === null ? "–" : absolute(time * 1e6).slice(0, 16)) },
      ...series.map(({ label, colour: name, fill }) => ({
        label,
        stroke: colour(name),
        ...(fill && { fill: colour(name), paths: uPlot.paths.bars?.({ size: [0.9, 24] }) as uPlot.Series.PathBuilder }),
        width: fill ? 0 : 2,
        points: { show: !fill, size: 4 },
        spanGaps: !fill,
        value: (_: uPlot, value: number | null) => (value === null ? "–" : latest.current.text(value)),
      })),
    ],
    cursor: { drag: { x: true, y: false, setScale: false } },
    hooks: {
      setSelect: [
        (plot) => {
          if (plot.select.width < 4) return;
          const at = (pixel: number) => Math.round(plot.posToVal(pixel, "x") * 1e6);
          latest.current.onZoom(at(plot.select.left), at(plot.select.left + plot.select.width));
        },
      ],
    },
  };
}
