import { useCallback, useEffect, useMemo, useState } from "react";
import type { Root } from "../../api/types.ts";

export interface Checked {
  ids: ReadonlySet<string>;
  set: (id: string, checked: boolean) => void;
  clear: () => void;
}

/** Which roots are chosen for something to be done with all of them: none that has left the list, by filters or by itself. */
export function useChecked(belongs: (id: string) => boolean, roots: readonly Root[], filters: string): Checked {
  const [chosen, setIds] = useState<ReadonlySet<string>>(new Set());
  const set = useCallback((id: string, checked: boolean) => {
    setIds((before) => {
      const next = new Set(before);
      if (checked) next.add(id);
      else next.delete(id);
      return next;
    });
  }, []);
  const clear = useCallback(() => setIds(new Set()), []);
  useEffect(clear, [filters, clear]);
  const ids = useMemo(() => (chosen.size === 0 ? chosen : new Set([...chosen].filter(belongs))), [chosen, roots]);
  return useMemo(() => ({ ids, set, clear }), [ids, set, clear]);
}
