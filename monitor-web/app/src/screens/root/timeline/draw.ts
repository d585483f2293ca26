/** Draws the timeline: only rows in sight, and of bars that share a pixel only one. */
import { locale } from "../../../i18n.ts";
import { STATES } from "../../../model/state.ts";
import { visible } from "../../../model/text.ts";
import { duration } from "../../../model/time.ts";
import { firstBar, type Lane, type Layout, rulerStep, type Stretch, type TimeMap } from "../../../model/timeline.ts";
import type { Tree } from "../../../model/tree.ts";
import type { Range, Window } from "./stage.ts";

export const ROW = 18;
export const LANE = 22;
const BAR = 14;
const RULER = 24;
const TICK_PX = 110;
const LABELLED_PX = 36;

/** All that is on the timeline. Times are µs from its origin. */
export interface Scene {
  tree: Tree;
  layout: Layout;
  map: TimeMap;
  critical: readonly Stretch[];
  nowUs: number;
  selected: number | null;
  window: Window;
  range: Range | null;
  hovered: number | null;
}

interface Colours {
  ground: string;
  raised: string;
  line: string;
  text: string;
  dim: string;
  accent: string;
  selected: string;
  bars: string[];
  font: string;
}

const OTHER = "pending";
const FAILED = STATES.indexOf("failed");

function colours(canvas: HTMLCanvasElement): Colours {
  const style = getComputedStyle(canvas);
  // A custom property is not computed; a colour that is set is.
  const of = (name: string) => {
    canvas.style.color = `var(--${name})`;
    return style.color;
  };
  const found = {
    ground: of("ground"),
    raised: of("raised"),
    line: of("line"),
    text: of("text"),
    dim: of("dim"),
    accent: of("accent"),
    selected: of("selected"),
    bars: [...STATES, OTHER].map((state) => of(`bar-${state}`)),
    font: style.getPropertyValue("--font"),
  };
  canvas.style.color = "";
  return found;
}

let known: { key: string; colours: Colours } | null = null;

function coloursOf(canvas: HTMLCanvasElement): Colours {
  const theme = document.documentElement.dataset["theme"] ?? "";
  const key = `${theme} ${matchMedia("(prefers-color-scheme: dark)").matches}`;
  if (known?.key !== key) known = { key, colours: colours(canvas) };
  return known.colours;
}

/** How high all lanes are, the ruler included. */
export function rowsHeight(lanes: readonly Lane[]): number {
  return lanes.reduce((height, lane) => height + lane.rows * ROW + (lane.label === "" ? 0 : LANE), RULER);
}

export function draw(context: CanvasRenderingContext2D, scene: Scene, width: number, height: number, scrollTop: number): void {
  const colour = coloursOf(context.canvas);
  const { layout, map, window } = scene;
  const x = (real: number) => ((map.toShown(real) - window.from) / (window.to - window.from)) * width;
  context.fillStyle = colour.ground;
  context.fillRect(0, 0, width, height);
  context.font = `11px ${colour.font}`;
  context.textBaseline = "middle";
  drawGaps(context, scene, colour, x, height);
  if (scene.range) {
    context.fillStyle = colour.selected;
    context.fillRect(x(scene.range.fromUs), RULER, x(scene.range.toUs) - x(scene.range.fromUs), height);
  }
  const critical = new Map<number, Stretch[]>();
  for (const stretch of scene.critical) critical.set(stretch.slot, [...(critical.get(stretch.slot) ?? []), stretch]);
  let top = RULER - scrollTop;
  for (const lane of layout.lanes) {
    if (lane.label !== "") {
      if (top + LANE > RULER && top < height) {
        context.fillStyle = colour.raised;
        context.fillRect(0, top, width, LANE);
        context.fillStyle = colour.text;
        context.fillText(visible(lane.label), 8, top + LANE / 2, width - 16);
      }
      top += LANE;
    }
    const first = Math.max(0, Math.floor((RULER - top) / ROW));
    const last = Math.min(lane.rows, Math.ceil((height - top) / ROW));
    for (let row = first; row < last; row += 1) drawRow(context, scene, colour, critical, lane.firstRow + row, top + row * ROW, x, width);
    top += lane.rows * ROW;
  }
  drawRuler(context, scene, colour, x, width);
}

function drawRow(
  context: CanvasRenderingContext2D,
  { tree, layout, map, window, nowUs, selected, hovered }: Scene,
  colour: Colours,
  critical: ReadonlyMap<number, Stretch[]>,
  row: number,
  top: number,
  x: (real: number) => number,
  width: number,
): void {
  const [fromUs, toUs] = [map.toReal(window.from), map.toReal(window.to)];
  const rowEnd = layout.rowStarts[row + 1] as number;
  const barTop = top + (ROW - BAR) / 2;
  let drawnTo = -Infinity;
  let drawnFailed = false;
  for (let bar = firstBar(layout, row, fromUs); bar < rowEnd; bar += 1) {
    const start = layout.starts[bar] as number;
    if (start > toUs) break;
    const slot = layout.slots[bar] as number;
    const state = layout.states[bar] as number;
    const left = Math.max(-2, x(start));
    const right = Math.min(width + 2, Math.max(x(Math.min(nowUs, layout.ends[bar] as number)), left + 1));
    const isMarked = slot === selected || slot === hovered;
    // Behind what is drawn already, unless it is what one looks for.
    if (right <= drawnTo && !isMarked && (drawnFailed || state !== FAILED)) continue;
    const wide = right - left;
    context.fillStyle = colour.bars[state] ?? colour.dim;
    context.fillRect(left, barTop, wide > 3 ? wide - 0.5 : Math.max(wide, 1), BAR);
    drawnTo = Math.floor(right) + (wide < 1.5 ? 1 : 0);
    drawnFailed = state === FAILED;
    for (const stretch of critical.get(slot) ?? []) {
      context.fillStyle = colour.text;
      context.fillRect(x(stretch.fromUs), barTop + BAR - 1, Math.max(1, x(stretch.toUs) - x(stretch.fromUs)), 2);
    }
    if (wide > LABELLED_PX) label(context, colour, visible(tree.at(slot).name), Math.max(0, left), Math.min(width, right), barTop);
    if (isMarked) {
      context.strokeStyle = slot === selected ? colour.accent : colour.text;
      context.lineWidth = 2;
      context.strokeRect(left, barTop, Math.max(2, wide), BAR);
    }
  }
}

const widths = new Map<string, number>();

/** As much of a name as there is room for. */
function label(context: CanvasRenderingContext2D, colour: Colours, name: string, left: number, right: number, top: number): void {
  const room = right - left - 8;
  const text = name.length > 200 ? name.slice(0, 200) : name;
  let wide = widths.get(text);
  if (wide === undefined) {
    if (widths.size > 5000) widths.clear();
    wide = context.measureText(text).width;
    widths.set(text, wide);
  }
  const most = Math.floor((room / wide) * text.length) - 1;
  const shown = wide <= room ? text : most < 2 ? "" : `${text.slice(0, most)}…`;
  if (shown === "") return;
  // Outlined by the ground: readable on every bar, in every theme.
  context.lineWidth = 2;
  context.lineJoin = "round";
  context.strokeStyle = colour.ground;
  context.strokeText(shown, left + 4, top + BAR / 2 + 0.5);
  context.fillStyle = colour.text;
  context.fillText(shown, left + 4, top + BAR / 2 + 0.5);
}

/** Stretches of folded time are hatched. */
function drawGaps(context: CanvasRenderingContext2D, { map }: Scene, colour: Colours, x: (real: number) => number, height: number): void {
  for (const [from, to] of map.gaps) {
    const [left, right] = [x(from), x(to)];
    if (right < 0) continue;
    context.fillStyle = colour.raised;
    context.fillRect(left, RULER, right - left, height);
    context.strokeStyle = colour.line;
    context.lineWidth = 1;
    for (const at of [left, right]) {
      context.beginPath();
      context.setLineDash([3, 3]);
      context.moveTo(at, RULER);
      context.lineTo(at, height);
      context.stroke();
      context.setLineDash([]);
    }
  }
}

function drawRuler(context: CanvasRenderingContext2D, { map, window }: Scene, colour: Colours, x: (real: number) => number, width: number): void {
  context.fillStyle = colour.ground;
  context.fillRect(0, 0, width, RULER);
  context.fillStyle = colour.line;
  context.fillRect(0, RULER - 1, width, 1);
  const step = rulerStep(window.to - window.from, width / TICK_PX);
  const gapAt = (time: number) => map.gaps.find(([from, to]) => time > from && time < to);
  const toUs = map.toReal(window.to);
  let free = -Infinity;
  for (let time = Math.ceil(map.toReal(window.from) / step) * step; time <= toUs; time += step) {
    const gap = gapAt(time);
    if (gap) {
      time = Math.floor(gap[1] / step) * step;
      continue;
    }
    const at = x(time);
    context.fillStyle = colour.line;
    context.fillRect(at, RULER - 6, 1, 6);
    if (at < free) continue;
    const text = tick(time, step);
    context.fillStyle = colour.dim;
    context.fillText(text, at + 4, RULER / 2);
    free = at + context.measureText(text).width + 16;
  }
  for (const [from, to] of map.gaps) {
    const text = `↔ ${duration((to - from) * 1000, locale)}`;
    const wide = context.measureText(text).width;
    const middle = (x(from) + x(to)) / 2;
    if (middle < 0 || middle > width) continue;
    context.fillStyle = colour.raised;
    context.fillRect(middle - wide / 2 - 4, 2, wide + 8, RULER - 5);
    context.fillStyle = colour.text;
    context.fillText(text, middle - wide / 2, RULER / 2);
  }
}

/** The time of a tick, as exact as the step. */
function tick(time: number, step: number): string {
  if (time >= 120e6) return duration(time * 1000, locale);
  const unit = step >= 1e5 ? { us: 1e6, name: "second" } : step >= 100 ? { us: 1e3, name: "millisecond" } : { us: 1, name: "microsecond" };
  const digits = Math.max(0, Math.ceil(-Math.log10(step / unit.us) - 1e-9));
  return new Intl.NumberFormat(locale, { style: "unit", unit: unit.name, unitDisplay: "narrow", maximumFractionDigits: digits, minimumFractionDigits: digits }).format(
    time / unit.us,
  );
}

/** How much runs, all time long, and which part of it is in the window. */
export function drawMinimap(context: CanvasRenderingContext2D, scene: Scene, width: number, height: number): void {
  const colour = coloursOf(context.canvas);
  const { map, window } = scene;
  context.fillStyle = colour.raised;
  context.fillRect(0, 0, width, height);
  const { running, failed } = load(scene, Math.floor(width));
  const most = running.reduce((max, each) => Math.max(max, each), 1);
  context.fillStyle = colour.bars[STATES.indexOf("running")] ?? colour.dim;
  for (const [at, each] of running.entries()) {
    const high = each === 0 ? 0 : Math.max(1, (each / most) * (height - 8));
    context.fillRect(at, height - high, 1, high);
  }
  context.fillStyle = colour.bars[FAILED] ?? colour.dim;
  for (const [at, each] of failed.entries()) if (each > 0) context.fillRect(at - 1, 0, 3, 6);
  const [left, right] = [(window.from / map.total) * width, (window.to / map.total) * width];
  context.globalAlpha = 0.6;
  context.fillStyle = colour.ground;
  context.fillRect(0, 0, left, height);
  context.fillRect(right, 0, width - right, height);
  context.globalAlpha = 1;
  context.strokeStyle = colour.accent;
  context.lineWidth = 1.5;
  context.strokeRect(left + 0.75, 0.75, Math.max(2, right - left - 1.5), height - 1.5);
}

const loads = new WeakMap<Layout, { key: string; running: Float64Array; failed: Uint32Array }>();

/** How many leaves run in each of so many parts of the whole, and how many end there failed. */
function load({ tree, layout, map, nowUs }: Scene, parts: number): { running: Float64Array; failed: Uint32Array } {
  const key = `${parts} ${map.total}`;
  const before = loads.get(layout);
  if (before?.key === key) return before;
  const running = new Float64Array(parts + 1);
  const failed = new Uint32Array(parts + 1);
  const at = (real: number) => Math.min(parts, Math.max(0, Math.floor((map.toShown(real) / map.total) * parts)));
  for (let bar = 0; bar < layout.slots.length; bar += 1) {
    const end = Math.min(nowUs, layout.ends[bar] as number);
    if (layout.states[bar] === FAILED) (failed[at(end)] as number) += 1;
    if (tree.childrenOf(layout.slots[bar] as number).length > 0) continue;
    (running[at(layout.starts[bar] as number)] as number) += 1;
    const after = at(end) + 1;
    if (after <= parts) (running[after] as number) -= 1;
  }
  for (let part = 1; part <= parts; part += 1) (running[part] as number) += running[part - 1] as number;
  const made = { key, running, failed };
  loads.set(layout, made);
  return made;
}
