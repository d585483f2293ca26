import { type KeyboardEvent, type PointerEvent, useEffect, useRef, useState } from "react";
import { count, locale, t } from "../../i18n.ts";
import { durationTicks } from "../../model/axes.ts";
import { type Box, countIn, durationsOf, type HeatMap, type Within, withinOf } from "../../model/stats.ts";
import { absolute, duration } from "../../model/time.ts";
import { Axes, logShare } from "./Axes.tsx";

const HEIGHT = 180;

/** A box of the map, and how many lie in it. */
export interface Chosen {
  within: Within;
  count: number;
}

/** Durations over time; darker cells contain more processes. Reports a box that is drawn by pointer or keys. */
export function HeatMapView({ map, onBox }: { map: HeatMap; onBox: (chosen: Chosen | null) => void }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [box, setBox] = useState<Box | null>(null);
  const drawn = useRef(false);
  useEffect(() => setBox(null), [map]);
  useEffect(() => {
    const draw = () => canvas.current && paint(canvas.current, map, box);
    draw();
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    const observer = new MutationObserver(draw);
    observer.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    const sizes = new ResizeObserver(draw);
    if (canvas.current) sizes.observe(canvas.current);
    scheme.addEventListener("change", draw);
    return () => {
      observer.disconnect();
      sizes.disconnect();
      scheme.removeEventListener("change", draw);
    };
  }, [map, box]);

  const cellAt = (event: PointerEvent<HTMLCanvasElement>) => {
    const { clientWidth } = event.currentTarget;
    const within = (value: number, most: number) => Math.min(most - 1, Math.max(0, Math.floor(value)));
    const column = within((event.nativeEvent.offsetX / clientWidth) * map.columns, map.columns);
    return { column, row: within((1 - event.nativeEvent.offsetY / HEIGHT) * map.rows, map.rows) };
  };
  const onDown = (event: PointerEvent<HTMLCanvasElement>) => {
    if (event.button !== 0) return;
    event.currentTarget.setPointerCapture(event.pointerId);
    drawn.current = true;
    const { column, row } = cellAt(event);
    setBox({ fromColumn: column, toColumn: column, fromRow: row, toRow: row });
  };
  const onMove = (event: PointerEvent<HTMLCanvasElement>) => {
    if (!drawn.current || !box) return;
    const { column, row } = cellAt(event);
    setBox({ ...box, toColumn: column, toRow: row });
  };
  const onUp = () => {
    if (drawn.current && box) onBox({ within: withinOf(map, box), count: countIn(map, box) });
    drawn.current = false;
  };
  const onKey = (event: KeyboardEvent) => {
    const [x, y] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key] ?? [0, 0];
    const at = box ?? { fromColumn: map.columns - 1, toColumn: map.columns - 1, fromRow: map.rows >> 1, toRow: map.rows >> 1 };
    if (x !== 0 || y !== 0) {
      const toColumn = Math.min(map.columns - 1, Math.max(0, at.toColumn + (x ?? 0)));
      const toRow = Math.min(map.rows - 1, Math.max(0, at.toRow + (y ?? 0)));
      setBox(event.shiftKey ? { ...at, toColumn, toRow } : { fromColumn: toColumn, toColumn, fromRow: toRow, toRow });
    } else if (event.key === "Enter" && box) onBox({ within: withinOf(map, box), count: countIn(map, box) });
    else if (event.key === "Escape" && box) {
      setBox(null);
      onBox(null);
    } else return;
    event.preventDefault();
  };

  const within = box && withinOf(map, box);
  const [shortest, longest] = durationsOf(withinOf(map, { fromColumn: 0, toColumn: 0, fromRow: 0, toRow: map.rows - 1 }));
  return (
    <figure className="heat">
      <figcaption>{t("stats.heat")}</figcaption>
      <Axes values={durationTicks(shortest, longest).map((value) => ({ at: logShare(value, shortest, longest), text: duration(value, locale) }))} fromUs={map.fromUs} toUs={map.fromUs + map.columns * map.stepUs}>
        <canvas
          ref={canvas}
          tabIndex={0}
          role="img"
          aria-label={t("stats.heat.label", { from: duration(shortest, locale), to: duration(longest, locale) })}
          onPointerDown={onDown}
          onPointerMove={onMove}
          onPointerUp={onUp}
          onKeyDown={onKey}
        />
      </Axes>
      <p className="dim" role="status">
        {box && within ? t("stats.heat.box", { count: count(countIn(map, box)), from: duration(durationsOf(within)[0], locale), to: duration(durationsOf(within)[1], locale), begin: absolute(within.fromUs).slice(5, 16), end: absolute(within.toUs).slice(5, 16) }) : t("stats.heat.hint")}
      </p>
    </figure>
  );
}

function paint(canvas: HTMLCanvasElement, map: HeatMap, box: Box | null): void {
  const ratio = devicePixelRatio;
  const width = canvas.clientWidth;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(HEIGHT * ratio);
  const context = canvas.getContext("2d");
  if (!context) return;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  canvas.style.color = "var(--accent)";
  context.fillStyle = context.strokeStyle = getComputedStyle(canvas).color;
  canvas.style.color = "";
  const [wide, high] = [width / map.columns, HEIGHT / map.rows];
  for (let column = 0; column < map.columns; column += 1) {
    for (let row = 0; row < map.rows; row += 1) {
      const value = map.counts[column * map.rows + row] as number;
      if (value === 0) continue;
      // One alone can be seen, and so can the difference among many.
      context.globalAlpha = 0.15 + 0.85 * (Math.log1p(value) / Math.log1p(map.most));
      context.fillRect(column * wide, HEIGHT - (row + 1) * high, Math.max(1, wide - 0.5), Math.max(1, high - 0.5));
    }
  }
  context.globalAlpha = 1;
  if (!box) return;
  const [left, right] = [Math.min(box.fromColumn, box.toColumn), Math.max(box.fromColumn, box.toColumn) + 1];
  const [low, top] = [Math.min(box.fromRow, box.toRow), Math.max(box.fromRow, box.toRow) + 1];
  context.lineWidth = 2;
  context.strokeRect(left * wide + 1, HEIGHT - top * high + 1, Math.max(3, (right - left) * wide - 2), Math.max(3, (top - low) * high - 2));
}
