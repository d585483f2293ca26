import { type RefObject, useEffect, useRef, useState } from "react";
import { usePrinting } from "./usePrinting.ts";

/** Rows that are added at once. */
const PART = 200;

/** Returns the element that scrolls an element: which one it is depends on the width of the page. */
export function scrollerOf(element: Element | null): HTMLElement | null {
  for (let above = element?.parentElement ?? null; above; above = above.parentElement) if (/auto|scroll/.test(getComputedStyle(above).overflowY)) return above;
  return null;
}

interface Parts {
  /** Number of rows to show. All are printed. */
  most: number;
  /** For an element below the last row, which is only there if rows are missing. */
  end: RefObject<HTMLParagraphElement | null>;
  /** Shows the rows up to this one at least. */
  reach: (row: number) => void;
}

/** Adds the rows of a long table while the reader scrolls. */
export function useParts(count: number): Parts {
  const [shown, setShown] = useState(PART);
  const end = useRef<HTMLParagraphElement>(null);
  const isPrinted = usePrinting();
  const hasMore = count > shown;
  useEffect(() => {
    if (!end.current || !hasMore) return;
    const add = (entries: IntersectionObserverEntry[]) => entries.some(({ isIntersecting }) => isIntersecting) && setShown((before) => before + PART);
    const observer = new IntersectionObserver(add, { root: scrollerOf(end.current), rootMargin: "600px" });
    observer.observe(end.current);
    return () => observer.disconnect();
  }, [hasMore, shown]);
  return { most: isPrinted ? count : shown, end, reach: (row) => setShown((before) => Math.max(before, row + PART)) };
}
