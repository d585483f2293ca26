import { useRef, useState } from "react";
import type { Process } from "../../api/types.ts";

/** A task as it was last read, and a flag that the list no longer contains it. */
export interface Standing {
  task: Process;
  isGone: boolean;
}

interface Shown {
  of: string;
  order: string[];
  known: Map<string, Process>;
}

export const keyOf = (task: Process) => `${task.root_id} ${task.id}`;

/**
 * Keeps visible tasks in their positions: they are updated in place, new tasks wait above the list until the reader requests them, and
 * removed tasks stay and are marked. `of` identifies the list: another list starts anew.
 */
export function useStanding(of: string, tasks: readonly Process[] | undefined): { tasks: readonly Standing[]; waiting: number; show: () => void } {
  const shown = useRef<Shown>({ of: "", order: [], known: new Map() });
  const [, setTurn] = useState(0);
  const fresh = new Map((tasks ?? []).map((task) => [keyOf(task), task]));
  if (shown.current.of !== of || (shown.current.order.length === 0 && fresh.size > 0)) {
    shown.current = { of, order: [...fresh.keys()], known: fresh };
  }
  const { order, known } = shown.current;
  for (const [key, task] of fresh) known.set(key, task);
  const first = order.findIndex((key) => fresh.has(key));
  const keys = [...fresh.keys()];
  const at = first < 0 ? keys.length : keys.indexOf(order[first] ?? "");
  const isThere = new Set(order);
  // Tasks after the first displayed one were requested, or have moved there.
  for (const key of keys.slice(at)) if (!isThere.has(key)) order.push(key);
  return {
    tasks: order.flatMap((key) => {
      const task = fresh.get(key) ?? known.get(key);
      return task ? [{ task, isGone: tasks !== undefined && !fresh.has(key) }] : [];
    }),
    waiting: keys.slice(0, at).filter((key) => !isThere.has(key)).length,
    show: () => {
      shown.current = { of, order: keys, known: fresh };
      setTurn((turn) => turn + 1);
    },
  };
}
