import { useEffect } from "react";

/** Tells when something has been read for the first time: what stands below it is shown then, and never moves. */
export function useRead(isPending: boolean, onRead: (() => void) | undefined) {
  useEffect(() => {
    if (!isPending) onRead?.();
  }, [isPending]);
}
