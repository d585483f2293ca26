import { useEffect } from "react";

/** Reports when data has been read for the first time; the content below it appears then, so that it never moves. */
export function useRead(isPending: boolean, onRead: (() => void) | undefined) {
  useEffect(() => {
    if (!isPending) onRead?.();
  }, [isPending]);
}
