import { useNarrow } from "./useNarrow.ts";

/** Minimum height of a touch target. */
const TOUCHED = 44;

/** Returns the height of rows in px: that of a touch target on a narrow screen, otherwise `dense`. The style sheets use the same values. */
export function useRowHeight(dense: number): number {
  return useNarrow() ? TOUCHED : dense;
}
