import { type RefObject, useEffect, useLayoutEffect, useRef } from "react";
import type { VirtualRows } from "./useRows.ts";

interface Options {
  count: number;
  rowHeight: number;
  /** The height of what stays at the top of the view. */
  head: number;
}

/**
 * Keyboard navigation in a list. Rows are identified by `data-row`. The link or button of a row has the focus, so that Enter follows it.
 * Space selects the row; Shift and an arrow select this row and the next.
 */
export function useRowKeys(scroller: RefObject<HTMLElement | null>, virtual: VirtualRows, options: Options): void {
  /** Row that had the focus last, also when it is not visible. */
  const current = useRef(-1);
  const wanted = useRef<{ row: number; ticks: boolean } | null>(null);
  const newest = useRef({ virtual, options });
  newest.current = { virtual, options };

  const arrive = () => {
    const { current: to } = wanted;
    const row = to && scroller.current?.querySelector(`[data-row="${to.row}"]`);
    const link = row?.querySelector<HTMLElement>("a, button:not(.twist)");
    if (!row || !link) return;
    // Selecting a row renders the list again, which calls this function as well.
    wanted.current = null;
    current.current = to.row;
    if (to.ticks) tick(row, true);
    link.focus({ preventScroll: true });
  };
  // A row that had to be scrolled to, or read, exists only after rendering.
  useLayoutEffect(arrive);

  useEffect(() => {
    const go = (to: number, ticks: boolean) => {
      const { virtual: rows, options: of } = newest.current;
      const row = Math.min(of.count - 1, Math.max(0, to));
      const room = (scroller.current?.clientHeight ?? 0) - of.head;
      wanted.current = { row, ticks };
      const top = row * of.rowHeight;
      if (top < rows.top()) rows.scrollTo(top);
      else if (top + of.rowHeight > rows.top() + room) rows.scrollTo(top + of.rowHeight - room);
      arrive();
    };
    const onKeyDown = (event: KeyboardEvent) => {
      const target = event.target as Element;
      const isInside = scroller.current?.contains(target) ?? false;
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || !(isInside || target === document.body)) return;
      const { virtual: rows, options: of } = newest.current;
      if (of.count === 0) return;
      const row = isInside ? target.closest<HTMLElement>("[data-row]") : null;
      const at = row ? Number(row.dataset["row"]) : current.current;
      const page = Math.max(1, Math.floor(((scroller.current?.clientHeight ?? 0) - of.head) / of.rowHeight) - 1);
      // Without a focused row, start with the visible rows.
      const from = at < 0 ? Math.ceil(rows.top() / of.rowHeight) - (event.key === "ArrowDown" ? 1 : 0) : at;
      const to = { ArrowDown: from + 1, ArrowUp: from - 1, PageDown: from + page, PageUp: from - page, Home: 0, End: of.count - 1 }[event.key];
      if (to !== undefined) {
        const ticks = event.shiftKey && event.key.startsWith("Arrow");
        if (ticks && row) tick(row, true);
        go(to, ticks);
        event.preventDefault();
      } else if (event.key === " " && row && target instanceof HTMLAnchorElement) {
        tick(row);
        event.preventDefault();
      }
    };
    const forget = () => {
      wanted.current = null;
    };
    addEventListener("keydown", onKeyDown);
    addEventListener("pointerdown", forget);
    return () => {
      removeEventListener("keydown", onKeyDown);
      removeEventListener("pointerdown", forget);
    };
  }, [scroller]);
}

/** Ticks the box of a row, or turns it round. */
function tick(row: Element, to?: boolean): void {
  const box = row.querySelector<HTMLInputElement>("input[type=checkbox]");
  if (box && box.checked !== to) box.click();
}
