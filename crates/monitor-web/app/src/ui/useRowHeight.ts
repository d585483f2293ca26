import { useNarrow } from "./useNarrow.ts";

/** As high as fingers need. */
const TOUCHED = 44;

/** The height of rows in px: on a phone that of what is touched, elsewhere as dense as they are meant to be. The style sheets say the same. */
export function useRowHeight(dense: number): number {
  return useNarrow() ? TOUCHED : dense;
}
