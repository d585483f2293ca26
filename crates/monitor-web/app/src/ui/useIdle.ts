import { useEffect, useState } from "react";

/** Resolves once the browser has painted what there is and has nothing else to do. */
export const idle = () => new Promise((resolve) => (globalThis.requestIdleCallback ?? setTimeout)(resolve));

/** Returns true once the browser has been idle: what a screen can do without at first waits for it. */
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
