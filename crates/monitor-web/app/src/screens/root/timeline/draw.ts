/** Draws the timeline: only visible rows, and only one of several bars that share a pixel. */
import { locale } from "../../../i18n.ts";
import { rulerStep } from "../../../model/axes.ts";
import { Recent } from "../../../model/recent.ts";
import { STATES } from "../../../model/state.ts";
import { visible } from "../../../model/text.ts";
import { duration, unit } from "../../../model/time.ts";
import { firstBar, type Lane, type Layout, type Stretch, type TimeMap } from "../../../model/timeline.ts";
import type { Tree } from "../../../model/tree.ts";
import type { Range, Window } from "./stage.ts";

export const ROW = 18;
export const LANE = 22;
const BAR = 14;
const RULER = 24;
const TICK_PX = 110;
const LABELLED_PX = 36;

/** All data of a drawing. Times are µs from the timeline's origin. */
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
/** Index of its colour. */
const OTHER_COLOUR = STATES.length;
const FAILED = STATES.indexOf("failed");
const SUCCEEDED = STATES.indexOf("succeeded");
/** Number of muted colours that distinguish names. Processes that did not succeed have the colour of their state. */
const HUES = 6;
const FIRST_HUE = OTHER_COLOUR + 1;
const hues = new Map<string, number>();

/** Returns the same colour for all bars of a name. */
function hueOf(name: string): number {
  let hue = hues.get(name);
  if (hue === undefined) {
    let sum = 7;
    for (let at = 0; at < name.length; at += 1) sum = (sum * 31 + name.charCodeAt(at)) >>> 0;
    hue = FIRST_HUE + (sum % HUES);
    if (hues.size > 10_000) hues.clear();
    hues.set(name, hue);
  }
  return hue;
}

function colours(canvas: HTMLCanvasElement): Colours {
  const style = getComputedStyle(canvas);
  // Custom properties are not computed; assigned colours are.
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
    bars: [...[...STATES, OTHER].map((state) => of(`bar-${state}`)), ...Array.from({ length: HUES }, (_, hue) => of(`hue-${hue + 1}`))],
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

/** Returns the height of all lanes including the ruler. */
export function rowsHeight(lanes: readonly Lane[]): number {
  return lanes.reduce((height, lane) => height + lane.rows * ROW + (lane.label === "" ? 0 : LANE), RULER);
}

/** Draws everything; returns true if names remain for the next frame. */
export function draw(context: CanvasRenderingContext2D, scene: Scene, width: number, height: number, scrollTop: number): boolean {
  const colour = coloursOf(context.canvas);
  beginSprites(colour);
  const { layout, map, window } = scene;
  const scale = width / (window.to - window.from);
  // Without gaps, displayed time equals real time.
  const x = map.gaps.length === 0 ? (real: number) => (real - window.from) * scale : (real: number) => (map.toShown(real) - window.from) * scale;
  context.fillStyle = colour.ground;
  context.fillRect(0, 0, width, height);
  context.font = `11px ${colour.font}`;
  context.textBaseline = "middle";
  drawGaps(context, scene, colour, x, height);
  if (scene.range) {
    context.fillStyle = colour.selected;
    context.fillRect(x(scene.range.fromUs), RULER, x(scene.range.toUs) - x(scene.range.fromUs), height);
  }
  const rowTop = new Map<number, number>();
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
    for (let row = first; row < last; row += 1) {
      rowTop.set(lane.firstRow + row, top + row * ROW + (ROW - BAR) / 2);
    }
    top += lane.rows * ROW;
  }
  drawBars(context, scene, colour, rowTop, x, width);
  for (const [row, barTop] of rowTop) drawFailed(context, scene, colour, row, barTop, x, width);
  for (const slot of [scene.hovered, scene.selected]) {
    const bar = slot === null ? -1 : (layout.barOf[slot] ?? -1);
    const barTop = bar < 0 ? undefined : rowTop.get(rowOf(layout, bar));
    if (barTop === undefined) continue;
    const [left, right] = edges(scene, bar, x, width);
    context.strokeStyle = slot === scene.selected ? colour.accent : colour.text;
    context.lineWidth = 2;
    context.strokeRect(left, barTop, Math.max(2, right - left), BAR);
  }
  drawCritical(context, scene, colour, rowTop, x, width);
  drawRuler(context, scene, colour, x, width);
  return sprited.waits;
}

/** Returns the left and right edge of a bar, limited to slightly beyond the view. */
function edges({ layout, nowUs }: Scene, bar: number, x: (real: number) => number, width: number): [left: number, right: number] {
  const left = Math.max(-2, x(layout.starts[bar] as number));
  return [left, Math.min(width + 2, Math.max(x(Math.min(nowUs, layout.ends[bar] as number)), left + 1))];
}

/** Draws the bars of some rows, grouped by colour, because changing the colour costs more than drawing a bar. Names are drawn on top. */
function drawBars(
  context: CanvasRenderingContext2D,
  scene: Scene,
  colour: Colours,
  rowTop: ReadonlyMap<number, number>,
  x: (real: number) => number,
  width: number,
): void {
  const bars: number[][] = colour.bars.map(() => []);
  const wide: number[] = [];
  for (const [row, barTop] of rowTop) gatherRow(scene, row, barTop, x, width, bars, wide);
  // Bars with state colours are drawn above those with name colours.
  for (let of = bars.length - 1; of >= 0; of -= 1) {
    const list = bars[of] as number[];
    context.fillStyle = colour.bars[of] ?? colour.dim;
    for (let at = 0; at < list.length; at += 3) context.fillRect(list[at] as number, list[at + 1] as number, list[at + 2] as number, BAR);
  }
  for (const bar of wide) {
    const [left, right] = edges(scene, bar, x, width);
    const barTop = rowTop.get(rowOf(scene.layout, bar)) as number;
    label(context, colour, nameOf(scene, bar), Math.max(0, left), Math.min(width, right), barTop);
  }
}

function nameOf({ tree, layout }: Scene, bar: number): string {
  return tree.siteOf(layout.slots[bar] as number).name;
}

/** Adds the bars of a row to the list of their colour, as left edge, top and width, and bars with space for a name to `wide`. */
function gatherRow(scene: Scene, row: number, barTop: number, x: (real: number) => number, width: number, bars: number[][], wide: number[]): void {
  const { layout, map, window } = scene;
  const toUs = map.toReal(window.to);
  const perPixel = (window.to - window.from) / width;
  const rowEnd = layout.rowStarts[row + 1] as number;
  let bar = firstBar(layout, row, map.toReal(window.from));
  // Adjacent bars with the same colour are merged.
  let [colour, from, to] = [-1, 0, 0];
  const flush = () => {
    if (colour >= 0) (bars[colour] ?? bars[OTHER_COLOUR])?.push(from, barTop, to - from);
  };
  while (bar < rowEnd && (layout.starts[bar] as number) <= toUs) {
    const [left, right] = edges(scene, bar, x, width);
    const pixels = right - left;
    const state = layout.states[bar] as number;
    const of = state === SUCCEEDED && pixels > 3 ? hueOf(nameOf(scene, bar)) : state;
    if (colour === of && pixels <= 3 && left <= to + 0.5) {
      to = Math.max(to, right);
    } else {
      flush();
      [colour, from, to] = [of, left, pixels > 3 ? right - 0.5 : right];
    }
    if (pixels > LABELLED_PX) wide.push(bar);
    // Skip bars that end within the same pixel.
    bar = pixels > 2 ? bar + 1 : firstBar(layout, row, map.toReal(window.from + Math.floor(left + 1) * perPixel), bar + 1);
  }
  flush();
}

/** Draws failures above all other bars in their pixels. */
function drawFailed(
  context: CanvasRenderingContext2D,
  scene: Scene,
  colour: Colours,
  row: number,
  barTop: number,
  x: (real: number) => number,
  width: number,
): void {
  const { layout, map, window } = scene;
  const { failed, rowStarts, starts, ends } = layout;
  const [fromUs, toUs] = [map.toReal(window.from), map.toReal(window.to)];
  context.fillStyle = colour.bars[FAILED] ?? colour.dim;
  let drawnTo = -Infinity;
  for (let index = atLeast(failed, rowStarts[row] as number); index < failed.length; index += 1) {
    const bar = failed[index] as number;
    if (bar >= (rowStarts[row + 1] as number) || (starts[bar] as number) > toUs) break;
    if ((ends[bar] as number) < fromUs) continue;
    const [left, right] = edges(scene, bar, x, width);
    // Wide bars are already drawn, with their names.
    if (right - left > 3 || right <= drawnTo) continue;
    context.fillRect(left, barTop, right - left, BAR);
    drawnTo = right;
  }
}

/** Underlines the critical path. */
function drawCritical(
  context: CanvasRenderingContext2D,
  { layout, critical, map, window }: Scene,
  colour: Colours,
  rowTop: ReadonlyMap<number, number>,
  x: (real: number) => number,
  width: number,
): void {
  const [fromUs, toUs] = [map.toReal(window.from), map.toReal(window.to)];
  context.fillStyle = colour.text;
  const perPixel = (window.to - window.from) / width;
  let skipFrom = Infinity;
  for (const stretch of critical) {
    // Latest first: a stretch that starts in a drawn pixel adds nothing.
    if (stretch.fromUs >= skipFrom || stretch.toUs < fromUs || stretch.fromUs > toUs) continue;
    const barTop = rowTop.get(rowOf(layout, layout.barOf[stretch.slot] as number));
    if (barTop === undefined) continue;
    const left = Math.max(0, x(stretch.fromUs));
    context.fillRect(left, barTop + BAR - 1, Math.max(1, Math.min(width, x(stretch.toUs)) - left), 2);
    skipFrom = map.toReal(window.from + Math.floor(left) * perPixel);
  }
}

/** The row of a bar. */
export function rowOf({ rowStarts }: Layout, bar: number): number {
  return atLeast(rowStarts, bar + 1) - 1;
}

/** Returns the first index in a sorted list whose value is at least `least`. */
function atLeast(sorted: Int32Array, value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] as number) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

interface Sprite {
  picture: ImageBitmap;
  width: number;
}

/** Names as images, because drawing an image is much cheaper than drawing text. */
const sprites = new Recent<Sprite>(2000, ({ picture }) => picture.close());
/** Time per frame for creating name images. Creating one takes far longer than drawing a bar; the rest follow in the next frames. */
const NEW_PER_FRAME_MS = 2;
/** Time spent in this frame, and true in `waits` if some remain for the next frame. */
const sprited = { ms: 0, waits: false };
/** Shared canvas on which the images are created. */
let easel: OffscreenCanvasRenderingContext2D | undefined;
/** Maximum width; wider names are cut. */
const WIDEST_PX = 600;
let spritesFor = "";

/** Begins a frame. */
function beginSprites(colour: Colours): void {
  sprites.begin();
  sprited.ms = 0;
  sprited.waits = false;
  const look = `${colour.text} ${colour.ground} ${colour.font} ${devicePixelRatio}`;
  if (look !== spritesFor) sprites.clear();
  spritesFor = look;
}

/** Returns the image of a name; undefined if it must wait for the next frame. */
function sprite(colour: Colours, name: string): Sprite | undefined {
  const known = sprites.get(name);
  if (known) return known;
  if (sprited.ms > NEW_PER_FRAME_MS) {
    sprited.waits = true;
    return undefined;
  }
  const begin = performance.now();
  const made = newSprite(colour, name);
  sprited.ms += performance.now() - begin;
  sprites.set(name, made);
  return made;
}

function newSprite(colour: Colours, name: string): Sprite {
  const text = visible(name.slice(0, 200));
  const context = (easel ??= new OffscreenCanvas(1, 1).getContext("2d") as OffscreenCanvasRenderingContext2D);
  context.font = `11px ${colour.font}`;
  const width = Math.min(WIDEST_PX, Math.ceil(context.measureText(text).width) + 2);
  context.canvas.width = Math.max(1, Math.ceil(width * devicePixelRatio));
  context.canvas.height = Math.ceil(BAR * devicePixelRatio);
  context.scale(devicePixelRatio, devicePixelRatio);
  context.font = `11px ${colour.font}`;
  context.textBaseline = "middle";
  // Outlined in the background colour, so that it is readable on every bar in every theme.
  context.lineWidth = 2;
  context.lineJoin = "round";
  context.strokeStyle = colour.ground;
  context.strokeText(text, 1, BAR / 2 + 0.5);
  context.fillStyle = colour.text;
  context.fillText(text, 1, BAR / 2 + 0.5);
  return { picture: context.canvas.transferToImageBitmap(), width };
}

/** Draws the part of a name that fits. */
function label(context: CanvasRenderingContext2D, colour: Colours, name: string, left: number, right: number, top: number): void {
  if (name === "") return;
  const of = sprite(colour, name);
  if (!of) return;
  const { picture, width } = of;
  const shown = Math.min(width, right - left - 8);
  if (shown < 12) return;
  const part = Math.min(picture.width, Math.round((shown / width) * picture.width));
  context.drawImage(picture, 0, 0, part, picture.height, left + 4, top, shown, BAR);
}

/** Hatches collapsed gaps. */
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
  const labels = gapLabels(context, map, x, width);
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
    const end = at + 4 + context.measureText(text).width;
    if (labels.some(({ left, right }) => at + 4 < right && end > left)) continue;
    context.fillStyle = colour.dim;
    context.fillText(text, at + 4, RULER / 2);
    free = end + 12;
  }
  for (const { text, left, right } of labels) {
    context.fillStyle = colour.raised;
    context.fillRect(left, 2, right - left, RULER - 5);
    context.fillStyle = colour.text;
    context.fillText(text, left + 4, RULER / 2);
  }
}

/** Labels collapsed gaps with their duration, where space permits and no tick is adjacent. */
function gapLabels(context: CanvasRenderingContext2D, map: TimeMap, x: (real: number) => number, width: number): { text: string; left: number; right: number }[] {
  const labels: { text: string; left: number; right: number }[] = [];
  let free = -Infinity;
  for (const [from, to] of map.gaps) {
    const text = `↔ ${duration((to - from) * 1000, locale)}`;
    const half = context.measureText(text).width / 2 + 4;
    const middle = (x(from) + x(to)) / 2;
    if (middle < 0 || middle > width || middle - half < free) continue;
    free = middle + half + 4;
    labels.push({ text, left: middle - half, right: middle + half });
  }
  return labels;
}

/** Formats the time of a tick, with the precision of the step. */
function tick(time: number, step: number): string {
  if (time >= 120e6) return duration(time * 1000, locale);
  const of = step >= 1e5 ? ({ us: 1e6, name: "second" } as const) : step >= 100 ? ({ us: 1e3, name: "millisecond" } as const) : ({ us: 1, name: "microsecond" } as const);
  const digits = Math.max(0, Math.ceil(-Math.log10(step / of.us) - 1e-9));
  return unit(time / of.us, digits, of.name, locale);
}

/** Draws the load over the whole time, and the part that the window shows. */
export function drawMinimap(context: CanvasRenderingContext2D, scene: Scene, width: number, height: number): void {
  const colour = coloursOf(context.canvas);
  const { map, window } = scene;
  const picture = loadPicture(scene, colour, width, height);
  if (picture) context.drawImage(picture, 0, 0, width, height);
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

let pictured: { load: Load; look: string; picture: ImageBitmap } | null = null;

/** Image of the load over the whole time. It is only redrawn when the data has changed, and reused while zooming and moving. */
function loadPicture(scene: Scene, colour: Colours, width: number, height: number): ImageBitmap | null {
  if (width < 1 || height < 1) return null;
  const of = load(scene, Math.floor(width));
  const look = `${colour.raised} ${colour.bars.join()} ${width} ${height} ${devicePixelRatio}`;
  if (pictured?.load === of && pictured.look === look) return pictured.picture;
  const canvas = new OffscreenCanvas(Math.ceil(width * devicePixelRatio), Math.ceil(height * devicePixelRatio));
  const context = canvas.getContext("2d", { alpha: false }) as OffscreenCanvasRenderingContext2D;
  context.scale(devicePixelRatio, devicePixelRatio);
  context.fillStyle = colour.raised;
  context.fillRect(0, 0, width, height);
  const { running, failed } = of;
  const most = running.reduce((max, each) => Math.max(max, each), 1);
  context.fillStyle = colour.bars[STATES.indexOf("running")] ?? colour.dim;
  for (const [at, each] of running.entries()) {
    if (each > 0) context.fillRect(at, height - Math.max(1, (each / most) * (height - 8)), 1, height);
  }
  context.fillStyle = colour.bars[FAILED] ?? colour.dim;
  for (const [at, each] of failed.entries()) if (each > 0) context.fillRect(at - 1, 0, 3, 6);
  pictured?.picture.close();
  pictured = { load: of, look, picture: canvas.transferToImageBitmap() };
  return pictured.picture;
}

interface Load {
  key: string;
  running: Float64Array;
  failed: Uint32Array;
}

const loads = new WeakMap<Layout, Load>();

/** Returns the number of running leaf processes, and of leaf failures, in each of `parts` intervals. */
function load({ tree, layout, map, nowUs }: Scene, parts: number): Load {
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
