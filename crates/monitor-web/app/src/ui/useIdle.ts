import { useEffect, useState } from "react";

/** Resolves when the browser has painted and is idle. */
export const idle = () => new Promise((resolve) => (globalThis.requestIdleCallback ?? setTimeout)(resolve));

/** Returns true once the browser has been idle, for parts of a screen that may appear later. */
export function useIdle(): boolean {
  const [wasIdle, setIdle] = useState(false);
  useEffect(() => {
    let isThere = true;
    void idle().then(() => isThere && setIdle(true));
    return () => {
      isThere = false;
    };
  }, []);
  return wasIdle;
}
