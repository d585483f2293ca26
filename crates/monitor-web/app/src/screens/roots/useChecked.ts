import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import type { Root } from "../../api/types.ts";

export interface Checked {
  ids: ReadonlySet<string>;
  set: (id: string, checked: boolean) => void;
  clear: () => void;
}

/** Returns the selected roots. A root that has left the list is no longer selected. */
export function useChecked(belongs: (id: string) => boolean, roots: readonly Root[], filters: string): Checked {
  const [chosen, setIds] = useState<ReadonlySet<string>>(() => kept(filters));
  const set = useCallback((id: string, checked: boolean) => {
    setIds((before) => {
      const next = new Set(before);
      if (checked) next.add(id);
      else next.delete(id);
      return next;
    });
  }, []);
  const clear = useCallback(() => setIds(new Set()), []);
  const before = useRef(filters);
  useEffect(() => {
    if (before.current !== filters) clear();
    before.current = filters;
  }, [filters, clear]);
  const ids = useMemo(() => (chosen.size === 0 ? chosen : new Set([...chosen].filter(belongs))), [chosen, roots]);
  useEffect(() => sessionStorage.setItem(KEY, JSON.stringify({ filters, ids: [...ids] })), [filters, ids]);
  return useMemo(() => ({ ids, set, clear }), [ids, set, clear]);
}

/** Stored while the tab is open, so that the selection is kept after a login. */
const KEY = "monitor-chosen";

function kept(filters: string): ReadonlySet<string> {
  try {
    const { filters: of, ids } = JSON.parse(sessionStorage.getItem(KEY) ?? "{}") as { filters?: unknown; ids?: unknown };
    return new Set(of === filters && Array.isArray(ids) ? ids.filter((id) => typeof id === "string") : []);
  } catch {
    return new Set();
  }
}
