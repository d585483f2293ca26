import { type RefObject, useCallback, useLayoutEffect, useRef } from "react";
import type { Rows } from "../../model/rows.ts";
import type { Forest } from "../../model/tree.ts";
import type { VirtualRows } from "../../ui/useRows.ts";

/** Scrolls as little as needed, or to the middle if the row is far. The header covers one row; `stuck` sticky rows cover the rest. */
export function bringIntoSight(element: HTMLElement, virtual: VirtualRows, row: number, rowHeight: number, stuck: number): void {
  const top = row * rowHeight;
  const room = element.clientHeight - rowHeight;
  const first = virtual.top() + stuck * rowHeight;
  const last = virtual.top() + room - rowHeight;
  if (top >= first && top <= last) return;
  const isFar = top < first - 2 * rowHeight || top > last + 2 * rowHeight;
  if (isFar) virtual.scrollTo(top - Math.round((room - rowHeight) / 2));
  else virtual.scrollTo(top < first ? top - stuck * rowHeight : top - room + rowHeight);
}

/**
 * Keeps the view stable while rows above are added or removed. The anchor is the selected row if it is visible, otherwise the first visible
 * row, unless the view is at the top.
 *
 * Returns a function to call when the reader has scrolled.
 */
export function useAnchor(
  scroller: RefObject<HTMLElement | null>,
  { top, scrollTo }: VirtualRows,
  forest: Forest,
  rows: Rows,
  selected: number | undefined,
  rowHeight: number,
): () => void {
  const anchor = useRef<{ slot: number; offset: number } | null>(null);

  const drop = useCallback(() => {
    const element = scroller.current;
    if (!element) return;
    const scrolled = top();
    const { slots, positions } = rows;
    const selectedTop = selected === undefined ? -1 : (positions[selected] ?? -1) * rowHeight;
    const isInSight = selectedTop >= 0 && selectedTop >= scrolled && selectedTop < scrolled + element.clientHeight - rowHeight;
    const slot = isInSight ? selected : scrolled > 0 ? slots[Math.floor(scrolled / rowHeight)] : undefined;
    anchor.current = slot === undefined ? null : { slot, offset: (positions[slot] ?? 0) * rowHeight - scrolled };
  }, [scroller, top, rows, selected, rowHeight]);

  useLayoutEffect(() => {
    if (anchor.current) {
      let slot: number | undefined = anchor.current.slot;
      // If the row is collapsed, its visible ancestor is used.
      while (slot !== undefined && (rows.positions[slot] ?? -1) < 0) slot = forest.parentOf(slot);
      if (slot !== undefined) {
        const wanted = Math.max(0, (rows.positions[slot] ?? 0) * rowHeight - anchor.current.offset);
        if (wanted !== top()) scrollTo(wanted);
      }
    }
    drop();
  }, [top, scrollTo, forest, rows, rowHeight, drop]);

  return drop;
}
