import { useIsFetching } from "@tanstack/react-query";
import { useEffect, useState } from "react";

const PATIENCE_MS = 1000;

/** Whether what a screen begins with has been read, so that all of it comes at once and nothing is pushed; who waits too long sees what there is. */
export function useSettled(isRead: boolean, ...keys: readonly string[]): boolean {
  const reading = useIsFetching({ predicate: ({ queryKey: [what] }) => keys.includes(what as string) });
  const [settled, setSettled] = useState(false);
  useEffect(() => {
    if (isRead && reading === 0) setSettled(true);
    const timer = setTimeout(() => setSettled(true), PATIENCE_MS);
    return () => clearTimeout(timer);
  }, [isRead, reading === 0]);
  return settled;
}
