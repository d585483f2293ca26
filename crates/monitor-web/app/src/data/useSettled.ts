import { useIsFetching } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";

const PATIENCE_MS = 1000;

/**
 * Returns true if the initial data of a screen has been read, so that the screen appears at once and nothing moves later. After a time
 * limit it returns true with partial data.
 */
export function useSettled(isRead: boolean, ...keys: readonly string[]): boolean {
  const reading = useIsFetching({ predicate: ({ queryKey: [what] }) => keys.includes(what as string) });
  const settled = useRef(false);
  settled.current ||= isRead && reading === 0;
  const [, redraw] = useState(0);
  useEffect(() => {
    const timer = setTimeout(() => {
      if (settled.current) return;
      settled.current = true;
      redraw(1);
    }, PATIENCE_MS);
    return () => clearTimeout(timer);
  }, []);
  return settled.current;
}
