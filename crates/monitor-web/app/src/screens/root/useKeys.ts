import { useEffect, useRef } from "react";

/** Hands each key that is pressed without Ctrl, Alt or the like to `take`; what it takes does nothing else. */
export function useKeys(take: (event: KeyboardEvent) => boolean): void {
  const newest = useRef(take);
  newest.current = take;
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (newest.current(event)) event.preventDefault();
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, []);
}
