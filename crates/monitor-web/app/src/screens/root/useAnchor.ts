import { type RefObject, useCallback, useLayoutEffect, useRef } from "react";
import type { Rows } from "../../model/rows.ts";
import type { Forest } from "../../model/tree.ts";
import type { VirtualRows } from "../../ui/useRows.ts";

/** Scrolls as little as needed; to the middle when it is far. The head takes the room of one row, `stuck` others lie over the rest. */
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
 * Keeps what is being read where it is while rows come and go above it: the selected row if it is
 * in sight, else the first row in sight, unless that is the very top.
 *
 * Returns what is to be called when the reader has scrolled.
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
      // Folded away: what it is folded into stands for it.
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
