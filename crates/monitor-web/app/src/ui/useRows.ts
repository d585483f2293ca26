import { type RefObject, useCallback, useLayoutEffect, useMemo, useReducer, useRef } from "react";
import { flushSync } from "react-dom";
import { TallScroll } from "../model/tall.ts";
import { useIdle } from "./useIdle.ts";
import { usePrinting } from "./usePrinting.ts";

/** Number of rows beyond both edges that exist, so that scrolling shows no empty space. Visible rows are rendered first. */
const OVERSCAN = 10;
/** Maximum number of rows on paper, about 150 pages. */
export const MOST_PRINTED = 5_000;

interface Options {
  count: number;
  rowHeight: number;
  /** Height of the content that stays at the top of the view. */
  head: number;
  /** Initial scroll position. */
  initialTop?: number;
  /** Change of position when rows were added or removed above the view. A reader who has scrolled since stays in place. */
  moved?: { from: number; to: number } | undefined;
  /** True if all rows are printed, up to `MOST_PRINTED`. Their style sheet places them without `topOf` then. */
  isPrinted?: boolean;
}

export interface VirtualRows {
  /** First existing row. */
  first: number;
  end: number;
  /** Number of rows that are missing on paper; 0 on the screen. */
  notPrinted: number;
  /** Height of the container. */
  height: number;
  /** Returns the position of a row in the container. */
  topOf: (row: number) => number;
  /** Returns the position of the content at the top of the view, in px. */
  top: () => number;
  scrollTo: (top: number) => void;
  /** Event handlers for the scrolling element. */
  onScroll: () => void;
  onScrollEnd: () => void;
}

/** Renders rows of equal height; only the visible rows exist. */
export function useRows(scroller: RefObject<HTMLElement | null>, { count, rowHeight, head, initialTop = 0, moved, isPrinted = false }: Options): VirtualRows {
  const [, redraw] = useReducer((turn: number) => turn + 1, 0);
  const isIdle = useIdle();
  const prints = usePrinting() && isPrinted;
  const isOnPaper = useRef(prints);
  isOnPaper.current = prints;
  const scroll = useMemo(() => new TallScroll(devicePixelRatio), []);
  // Until it is measured, the window's height, so that the first rows are rendered at once.
  const viewHeight = useRef(innerHeight);
  const room = () => Math.max(0, viewHeight.current - head);
  const resize = () => scroll.resize(count * rowHeight, room());
  resize();
  const follow = useRef<number | null>(null);
  // Before rendering, so that existing rows are kept, and with them the focus.
  if (moved && Math.abs(scroll.top - moved.from) < 1 && Math.abs(moved.to - moved.from) >= 1) follow.current = scroll.goTo(moved.to);
  useLayoutEffect(() => {
    if (follow.current !== null && scroller.current) scroller.current.scrollTop = follow.current;
    follow.current = null;
  });
  const range = () => {
    const from = Math.floor(scroll.top / rowHeight);
    const to = Math.ceil((scroll.top + room()) / rowHeight);
    return { from, to, shift: scroll.shift };
  };
  const drawn = useRef(range());
  drawn.current = range();
  const newest = useRef({ range, resize });
  newest.current = { range, resize };

  const scrollTo = useCallback(
    (top: number) => {
      const to = scroll.goTo(top);
      if (scroller.current && scroller.current.scrollTop !== to) scroller.current.scrollTop = to;
      redraw();
    },
    [scroll, scroller],
  );
  const top = useCallback(() => scroll.top, [scroll]);
  const onScroll = useCallback(() => {
    // On paper there is no scroll position to keep.
    if (isOnPaper.current) return;
    scroll.scrolled(scroller.current?.scrollTop ?? 0);
    const { from, to, shift } = newest.current.range();
    // Render before the frame is painted; otherwise new rows would be empty in this frame.
    if (from !== drawn.current.from || to !== drawn.current.to || shift !== drawn.current.shift) flushSync(redraw);
  }, [scroll, scroller]);
  const onScrollEnd = useCallback(() => {
    const to = scroll.goTo(scroll.top);
    if (scroll.shift === drawn.current.shift || !scroller.current) return;
    flushSync(redraw);
    scroller.current.scrollTop = to;
  }, [scroll, scroller]);

  // The scrolling element may be created after the first render, or be replaced.
  const observed = useRef<{ element: HTMLElement | null; observer: ResizeObserver | null }>({ element: null, observer: null });
  useLayoutEffect(() => {
    const element = scroller.current;
    if (element === observed.current.element) return;
    observed.current.observer?.disconnect();
    const measure = () => {
      if (isOnPaper.current) return;
      viewHeight.current = element?.clientHeight ?? 0;
      // Scrolling before the next rendering must use the new height.
      newest.current.resize();
      redraw();
    };
    measure();
    const observer = element && new ResizeObserver(measure);
    if (element) observer?.observe(element);
    observed.current = { element, observer };
  });
  useLayoutEffect(
    () => () => {
      observed.current.observer?.disconnect();
      observed.current = { element: null, observer: null };
    },
    [],
  );
  const { isTall } = scroll;
  useLayoutEffect(() => {
    if (isTall) scrollTo(scroll.top);
  }, [isTall, scroll, scrollTo]);
  useLayoutEffect(() => (!prints && scroll.top > 0 ? scrollTo(scroll.top) : undefined), [prints, scroll, scrollTo]);
  const begun = useRef(false);
  useLayoutEffect(() => {
    if (!begun.current && initialTop > 0) scrollTo(initialTop);
    begun.current = true;
  }, [initialTop, scrollTo]);

  const { shift } = drawn.current;
  return {
    ...existing(count, prints, drawn.current, isIdle ? OVERSCAN : 0),
    height: scroll.height,
    topOf: (row) => row * rowHeight - shift,
    top,
    scrollTo,
    onScroll,
    onScrollEnd,
  };
}

/** Returns the existing rows: on paper all, up to `MOST_PRINTED`; on the screen the visible rows and some beyond. */
function existing(count: number, prints: boolean, { from, to }: { from: number; to: number }, beyond: number): Pick<VirtualRows, "first" | "end" | "notPrinted"> {
  if (!prints) return { first: Math.max(0, from - beyond), end: Math.min(count, to + beyond), notPrinted: 0 };
  const end = Math.min(count, MOST_PRINTED);
  return { first: 0, end, notPrinted: count - end };
}
