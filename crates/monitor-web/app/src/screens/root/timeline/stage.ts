/** Manages the timeline's canvases: keeps the window, applies pointer, wheel and key input to it, and draws once per frame. */
import { firstBar, type TimeMap } from "../../../model/timeline.ts";
import { draw, drawMinimap, LANE, rowOf, type Scene, ROW, rowsHeight } from "./draw.ts";

/** Minimum duration that a window shows, in µs. */
const LEAST_US = 2;
const ZOOM_PER_KEY = 1.5;
const PAN_PER_KEY = 0.2;
/** A pointer that moved less counts as a click. */
const CLICK_PX = 4;

/** Times are displayed time: see `TimeMap`. */
export interface Window {
  from: number;
  to: number;
}

export interface Hovered {
  slot: number;
  x: number;
  y: number;
}

export interface Range {
  fromUs: number;
  toUs: number;
}

interface Callbacks {
  onSelect(slot: number): void;
  onHover(hovered: Hovered | null): void;
  /** Reports the window in real time; null for everything. */
  onWindow(window: Range | null): void;
  onRange(range: Range | null): void;
}

type Shown = Omit<Scene, "window" | "range" | "hovered">;

export class Stage {
  private window: Window = { from: 0, to: 1 };
  /** True if everything is shown, also when it grows. */
  private whole = true;
  private range: Range | null = null;
  private hovered: number | null = null;
  private frame = 0;
  private scene: Shown | null = null;
  private readonly pointers = new Map<number, { x: number; y: number }>();
  private drag: { kind: "pan" | "range" | "brush"; startX: number; startY: number; moved: boolean; at: number; window: Window } | null = null;
  private readonly observer: ResizeObserver;
  private readonly stops = new AbortController();

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly minimap: HTMLCanvasElement,
    private readonly scroller: HTMLElement,
    private readonly on: Callbacks,
  ) {
    this.observer = new ResizeObserver(() => this.redraw());
    this.observer.observe(scroller);
    const { signal } = this.stops;
    canvas.addEventListener("wheel", this.wheel, { passive: false, signal });
    for (const element of [canvas, minimap]) {
      element.addEventListener("pointerdown", this.down, { signal });
      element.addEventListener("pointermove", this.move, { signal });
      element.addEventListener("pointerup", this.up, { signal });
      element.addEventListener("pointercancel", this.cancel, { signal });
    }
    canvas.addEventListener("pointerleave", () => this.hover(null), { signal });
    canvas.addEventListener("dblclick", this.double, { signal });
    scroller.addEventListener("scroll", () => this.redraw(), { signal });
  }

  close(): void {
    this.observer.disconnect();
    this.stops.abort();
    cancelAnimationFrame(this.frame);
  }

  show(scene: Shown): void {
    const before = this.scene?.map;
    if (before && before !== scene.map && !this.whole) {
      // The window keeps its real time when gaps are collapsed or the end moves.
      this.window = { from: scene.map.toShown(before.toReal(this.window.from)), to: scene.map.toShown(before.toReal(this.window.to)) };
    }
    this.scene = scene;
    if (this.whole) this.window = { from: 0, to: scene.map.total };
    this.redraw();
  }

  /** Shows a range of real time; null shows everything. */
  goTo(range: Range | null): void {
    if (!this.scene) return;
    const { map } = this.scene;
    this.whole = range === null;
    this.window = range ? { from: map.toShown(range.fromUs), to: map.toShown(range.toUs) } : { from: 0, to: map.total };
    this.redraw();
  }

  /** Scrolls to a process's row, and moves the window if its bar is outside; returns true if it has a bar. */
  reveal(slot: number): boolean {
    const { scene, scroller } = this;
    const bar = scene?.layout.barOf[slot] ?? -1;
    if (!scene || bar < 0) return false;
    const { layout, map, nowUs } = scene;
    // Set the final height first, because it determines the scroll range.
    this.canvas.style.height = `${scroller.clientHeight}px`;
    const top = topOf(layout.lanes, rowOf(layout, bar));
    const head = rowsHeight([]);
    if (top - head < scroller.scrollTop || top + ROW > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = top - Math.round((scroller.clientHeight - head) / 2);
    const [from, to] = [map.toShown(layout.starts[bar] as number), map.toShown(Math.min(nowUs, layout.ends[bar] as number))];
    const { window } = this;
    if (to < window.from || from > window.to) this.pan((from + to) / 2 - (window.from + window.to) / 2);
    this.redraw();
    return true;
  }

  select(range: Range | null): void {
    this.range = range;
    this.redraw();
  }

  /** Handles keys: W and S zoom, A and D move, 0 shows everything, R summarises the window. Returns true if the key had an effect. */
  key(key: string): boolean {
    const span = this.window.to - this.window.from;
    switch (key.toLowerCase()) {
      case "w":
      case "+":
        this.zoom(1 / ZOOM_PER_KEY, 0.5);
        return true;
      case "s":
      case "-":
        this.zoom(ZOOM_PER_KEY, 0.5);
        return true;
      case "a":
        this.pan(-PAN_PER_KEY * span);
        return true;
      case "d":
        this.pan(PAN_PER_KEY * span);
        return true;
      case "0":
        this.goTo(null);
        this.on.onWindow(null);
        return true;
      case "r":
        if (!this.map) return false;
        this.select(this.range ? null : { fromUs: this.map.toReal(this.window.from), toUs: this.map.toReal(this.window.to) });
        this.on.onRange(this.range);
        return true;
      default:
        return false;
    }
  }

  redraw(): void {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }

  private draw(): void {
    if (!this.scene) return;
    const scene: Scene = { ...this.scene, window: this.window, range: this.range, hovered: this.hovered };
    const { clientWidth, clientHeight, scrollTop } = this.scroller;
    this.canvas.style.height = `${clientHeight}px`;
    const begin = performance.now();
    if (draw(fit(this.canvas, clientWidth, clientHeight), scene, clientWidth, clientHeight, scrollTop)) this.redraw();
    drawMinimap(fit(this.minimap, this.minimap.clientWidth, this.minimap.clientHeight), scene, this.minimap.clientWidth, this.minimap.clientHeight);
    // For tests and the benchmark.
    this.canvas.dataset["drawMs"] = (performance.now() - begin).toFixed(2);
    const { map } = this.scene;
    this.canvas.dataset["window"] = `${Math.round(map.toReal(this.window.from))}-${Math.round(map.toReal(this.window.to))}`;
  }

  private get map(): TimeMap | undefined {
    return this.scene?.map;
  }

  /** Sets the window within its limits, and reports it. */
  private set(from: number, to: number): void {
    const total = this.map?.total ?? 1;
    const span = Math.min(total, Math.max(LEAST_US, to - from));
    const middle = (from + to) / 2;
    const start = Math.min(total - span, Math.max(0, middle - span / 2));
    this.window = { from: start, to: start + span };
    this.whole = span >= total;
    this.redraw();
    this.on.onWindow(this.whole || !this.map ? null : { fromUs: this.map.toReal(start), toUs: this.map.toReal(start + span) });
  }

  private zoom(factor: number, at: number): void {
    const { from, to } = this.window;
    const point = from + at * (to - from);
    this.set(point - (point - from) * factor, point + (to - point) * factor);
  }

  private pan(by: number): void {
    this.set(this.window.from + by, this.window.to + by);
  }

  private timeAt(x: number, width: number): number {
    return this.window.from + (x / Math.max(1, width)) * (this.window.to - this.window.from);
  }

  private readonly wheel = (event: WheelEvent): void => {
    // Shift or horizontal scrolling moves, Alt scrolls the rows, everything else zooms at the pointer.
    if (event.altKey) return;
    event.preventDefault();
    const width = this.canvas.clientWidth;
    const span = this.window.to - this.window.from;
    const sideways = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) return this.pan((sideways / width) * span);
    this.zoom(Math.exp(event.deltaY * 0.002), event.offsetX / width);
  };

  private readonly down = (event: PointerEvent): void => {
    if (event.button !== 0) return;
    const element = event.currentTarget as HTMLCanvasElement;
    element.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    const isMinimap = element === this.minimap;
    this.drag = {
      kind: isMinimap ? "brush" : event.shiftKey ? "range" : "pan",
      startX: event.offsetX,
      startY: event.offsetY,
      moved: false,
      at: isMinimap ? (event.offsetX / this.minimap.clientWidth) * (this.map?.total ?? 1) : this.timeAt(event.offsetX, element.clientWidth),
      window: this.window,
    };
  };

  private readonly move = (event: PointerEvent): void => {
    const before = this.pointers.get(event.pointerId);
    const isMinimap = event.currentTarget === this.minimap;
    if (!before || !this.drag || !this.map) {
      if (!isMinimap && event.pointerType === "mouse") this.hover({ x: event.offsetX, y: event.offsetY });
      return;
    }
    const width = this.canvas.clientWidth;
    const now = { x: event.offsetX, y: event.offsetY };
    if (this.pointers.size === 2) {
      const other = [...this.pointers].find(([id]) => id !== event.pointerId)?.[1] ?? now;
      const [was, is] = [Math.abs(before.x - other.x), Math.abs(now.x - other.x)];
      if (was > 8 && is > 8) this.zoom(was / is, (now.x + other.x) / 2 / width);
      this.drag.moved = true;
    } else if (this.drag.moved || Math.hypot(now.x - this.drag.startX, now.y - this.drag.startY) > CLICK_PX) {
      this.drag.moved = true;
      this.hover(null);
      this.dragTo(now, before, width);
    }
    this.pointers.set(event.pointerId, now);
  };

  private dragTo(now: { x: number; y: number }, before: { x: number; y: number }, width: number): void {
    const { drag, map } = this;
    if (!drag || !map) return;
    if (drag.kind === "pan") {
      this.pan(((before.x - now.x) / width) * (this.window.to - this.window.from));
      this.scroller.scrollTop += before.y - now.y;
      return;
    }
    const at = drag.kind === "brush" ? (now.x / this.minimap.clientWidth) * map.total : this.timeAt(now.x, width);
    const [from, to] = [Math.min(drag.at, at), Math.max(drag.at, at)];
    if (drag.kind === "brush") return this.set(from, to);
    this.range = { fromUs: map.toReal(from), toUs: map.toReal(to) };
    this.on.onRange(this.range);
    this.redraw();
  }

  private readonly up = (event: PointerEvent): void => {
    const { drag } = this;
    this.cancel(event);
    if (!drag || drag.moved) return;
    if (drag.kind === "brush") {
      // A click centres the window without changing its size.
      const half = (this.window.to - this.window.from) / 2;
      return this.set(drag.at - half, drag.at + half);
    }
    const slot = this.barAt(event.offsetX, event.offsetY);
    if (slot !== null) this.on.onSelect(slot);
    else if (this.range) {
      this.select(null);
      this.on.onRange(null);
    }
  };

  private readonly cancel = (event: PointerEvent): void => {
    this.pointers.delete(event.pointerId);
    if (this.pointers.size === 0) this.drag = null;
  };

  /** Zooms to the bar. */
  private readonly double = (event: MouseEvent): void => {
    const slot = this.barAt(event.offsetX, event.offsetY);
    if (slot === null || !this.scene) return;
    const { layout, map, nowUs } = this.scene;
    const bar = layout.barOf[slot] ?? -1;
    const from = map.toShown(layout.starts[bar] ?? 0);
    const to = map.toShown(Math.min(nowUs, layout.ends[bar] ?? 0));
    const room = Math.max(LEAST_US, (to - from) * 0.1);
    this.set(from - room, to + room);
  };

  private hover(at: { x: number; y: number } | null): void {
    const slot = at && this.barAt(at.x, at.y);
    if (slot === this.hovered && slot === null) return;
    this.hovered = slot;
    this.on.onHover(at && slot !== null ? { slot, ...at } : null);
    this.redraw();
  }

  private barAt(x: number, y: number): number | null {
    if (!this.scene) return null;
    const { layout, map, nowUs } = this.scene;
    const row = rowAt(layout.lanes, y + this.scroller.scrollTop);
    if (row === null) return null;
    const perPixel = (this.window.to - this.window.from) / this.canvas.clientWidth;
    const at = this.timeAt(x, this.canvas.clientWidth);
    // Bars narrower than two pixels can still be hit.
    const [from, to] = [map.toReal(at - 2 * perPixel), map.toReal(at + 2 * perPixel)];
    let best: number | null = null;
    for (let bar = firstBar(layout, row, from); bar < (layout.rowStarts[row + 1] as number); bar += 1) {
      if ((layout.starts[bar] as number) > to) break;
      if (Math.min(nowUs, layout.ends[bar] as number) >= from) best = layout.slots[bar] as number;
    }
    return best;
  }
}

/** Returns the row at a position below the ruler, if there is one. */
function rowAt(lanes: Scene["layout"]["lanes"], y: number): number | null {
  let top = rowsHeight([]);
  for (const lane of lanes) {
    if (lane.label !== "") top += LANE;
    const row = Math.floor((y - top) / ROW);
    if (row >= 0 && row < lane.rows) return lane.firstRow + row;
    top += lane.rows * ROW;
  }
  return null;
}

/** Returns the vertical position of a row. */
function topOf(lanes: Scene["layout"]["lanes"], row: number): number {
  let top = rowsHeight([]);
  for (const lane of lanes) {
    if (lane.label !== "") top += LANE;
    if (row < lane.firstRow + lane.rows) return top + (row - lane.firstRow) * ROW;
    top += lane.rows * ROW;
  }
  return top;
}

/** Sets a canvas's resolution to that of the screen. */
function fit(canvas: HTMLCanvasElement, width: number, height: number): CanvasRenderingContext2D {
  const ratio = devicePixelRatio;
  const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== wide || canvas.height !== high) {
    canvas.width = wide;
    canvas.height = high;
  }
  const context = canvas.getContext("2d", { alpha: false }) as CanvasRenderingContext2D;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}
