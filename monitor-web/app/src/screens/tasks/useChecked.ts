import { useCallback, useMemo, useState } from "react";

export interface Checked {
  ids: ReadonlySet<string>;
  set: (id: string, checked: boolean) => void;
  clear: () => void;
}

/** Which roots are chosen for something to be done with all of them. */
export function useChecked(): Checked {
  const [ids, setIds] = useState<ReadonlySet<string>>(new Set());
  const set = useCallback((id: string, checked: boolean) => {
    setIds((before) => {
      const next = new Set(before);
      if (checked) next.add(id);
      else next.delete(id);
      return next;
    });
  }, []);
  const clear = useCallback(() => setIds(new Set()), []);
  return useMemo(() => ({ ids, set, clear }), [ids, set, clear]);
}
