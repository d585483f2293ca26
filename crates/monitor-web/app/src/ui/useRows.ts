import { type RefObject, useCallback, useLayoutEffect, useMemo, useReducer, useRef } from "react";
import { flushSync } from "react-dom";
import { TallScroll } from "../model/tall.ts";
import { useIdle } from "./useIdle.ts";
import { usePrinting } from "./usePrinting.ts";

/** Rows beyond both edges that exist, so that nothing is empty before it is drawn: those in sight come first, these once they are painted. */
const OVERSCAN = 10;
/** Maximum number of rows on paper, about 150 pages. */
export const MOST_PRINTED = 5_000;

interface Options {
  count: number;
  rowHeight: number;
  /** The height of what stays at the top of the view. */
  head: number;
  /** Where the view begins. */
  initialTop?: number;
  /** As rows came or went above what is being read: from where to where it has moved. Whoever has scrolled meanwhile stays there. */
  moved?: { from: number; to: number } | undefined;
  /** True if all rows are printed, up to `MOST_PRINTED`. Their style sheet places them without `topOf` then. */
  isPrinted?: boolean;
}

export interface VirtualRows {
  /** The rows that are to exist. */
  first: number;
  end: number;
  /** Number of rows that are missing on paper; 0 on the screen. */
  notPrinted: number;
  /** Of what the rows are in. */
  height: number;
  /** Where a row stands in it. */
  topOf: (row: number) => number;
  /** What of all rows is at the top of the view, in px. */
  top: () => number;
  scrollTo: (top: number) => void;
  /** Both are the scroller's. */
  onScroll: () => void;
  onScrollEnd: () => void;
}

/** Rows of one height, however many, of which only those in sight exist. */
export function useRows(scroller: RefObject<HTMLElement | null>, { count, rowHeight, head, initialTop = 0, moved, isPrinted = false }: Options): VirtualRows {
  const [, redraw] = useReducer((turn: number) => turn + 1, 0);
  const isIdle = useIdle();
  const prints = usePrinting() && isPrinted;
  const isOnPaper = useRef(prints);
  isOnPaper.current = prints;
  const scroll = useMemo(() => new TallScroll(devicePixelRatio), []);
  // Until it is measured no higher than the window: so the rows of the first view are made at once.
  const viewHeight = useRef(innerHeight);
  const room = () => Math.max(0, viewHeight.current - head);
  const resize = () => scroll.resize(count * rowHeight, room());
  resize();
  const follow = useRef<number | null>(null);
  // Before it is drawn: the rows that are there stay there, and with them the focus.
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
    // On paper there is no place to keep.
    if (isOnPaper.current) return;
    scroll.scrolled(scroller.current?.scrollTop ?? 0);
    const { from, to, shift } = newest.current.range();
    // Before the frame is painted, or its new rows would be empty.
    if (from !== drawn.current.from || to !== drawn.current.to || shift !== drawn.current.shift) flushSync(redraw);
  }, [scroll, scroller]);
  const onScrollEnd = useCallback(() => {
    const to = scroll.goTo(scroll.top);
    if (scroll.shift === drawn.current.shift || !scroller.current) return;
    flushSync(redraw);
    scroller.current.scrollTop = to;
  }, [scroll, scroller]);

  // The scroller may come later than the first render, or another one take its place.
  const observed = useRef<{ element: HTMLElement | null; observer: ResizeObserver | null }>({ element: null, observer: null });
  useLayoutEffect(() => {
    const element = scroller.current;
    if (element === observed.current.element) return;
    observed.current.observer?.disconnect();
    const measure = () => {
      if (isOnPaper.current) return;
      viewHeight.current = element?.clientHeight ?? 0;
      // Whoever scrolls before it is drawn again scrolls by this height.
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

/** The rows that exist: on paper all, up to `MOST_PRINTED`; on the screen those in sight and some beyond. */
function existing(count: number, prints: boolean, { from, to }: { from: number; to: number }, beyond: number): Pick<VirtualRows, "first" | "end" | "notPrinted"> {
  if (!prints) return { first: Math.max(0, from - beyond), end: Math.min(count, to + beyond), notPrinted: 0 };
  const end = Math.min(count, MOST_PRINTED);
  return { first: 0, end, notPrinted: count - end };
}
