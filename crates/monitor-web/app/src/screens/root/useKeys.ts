import { useEffect, useRef } from "react";

/** Passes each key pressed without Ctrl, Alt or similar to `take`; if it returns true, the key has no other effect. */
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
