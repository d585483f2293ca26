import { useNavigate, useSearch } from "@tanstack/react-router";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import type { RootView } from "./view.ts";

/** Browsers slow down pages that change their address at every key. */
const ADDRESS_MS = 150;

export interface Selection {
  /** The selected process, known or not. */
  id: string | null;
  /** True if it was selected by itself, not by the reader. */
  isAutomatic: boolean;
  /** The current selection, also before it has been drawn, because keys may arrive faster. */
  current: () => string | null;
  /** Counts the selections: each new one is scrolled into sight. */
  turn: number;
  select: (id: string) => void;
  clear: () => void;
  /** The reader does something of their own: from then on nothing opens by itself. */
  touch: () => void;
}

/**
 * The selected process: the one in the address; without one, the end of the failing path by itself, and
 * the end that later events show, as long as the reader has not begun to look around.
 */
export function useSelection(view: RootView): Selection {
  const search = useSearch({ strict: false }) as { process?: string };
  const navigate = useNavigate();
  const [chosen, setChosen] = useState<string | null>(search.process ?? null);
  const latest = useRef(chosen);
  const [turn, setTurn] = useState(0);
  const touched = useRef(search.process !== undefined);
  const automatic = useRef(false);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);

  const choose = useCallback((id: string | null) => {
    latest.current = id;
    automatic.current = false;
    setChosen(id);
  }, []);

  // The selection in the address, unless the address was changed by `select` itself: by Back, or a link.
  const addressed = useRef(search.process);
  useEffect(() => {
    if (search.process === addressed.current) return;
    addressed.current = search.process;
    clearTimeout(timer.current);
    choose(search.process ?? null);
    setTurn((before) => before + 1);
  }, [search.process]);
  useEffect(() => () => clearTimeout(timer.current), []);

  const toAddress = useCallback(
    (process: string | undefined) => {
      clearTimeout(timer.current);
      timer.current = setTimeout(() => {
        addressed.current = process;
        void navigate({ to: ".", search: (before: object) => ({ ...before, process }), replace: true });
      }, ADDRESS_MS);
    },
    [navigate],
  );

  const touch = useCallback(() => {
    touched.current = true;
  }, []);
  const select = useCallback(
    (id: string) => {
      touched.current = true;
      choose(id);
      setTurn((before) => before + 1);
      toAddress(id);
    },
    [choose, toAddress],
  );
  const clear = useCallback(() => {
    touched.current = true;
    choose(null);
    toAddress(undefined);
  }, [choose, toAddress]);
  const current = useCallback(() => latest.current, []);

  // A run of a single process has nothing else to be looked at.
  const cause = touched.current || view.loading ? undefined : (view.cause() ?? (view.tree.size === 1 ? 0 : undefined));
  useEffect(() => {
    if (cause === undefined || touched.current || view.tree.idOf(cause) === latest.current) return;
    choose(view.tree.idOf(cause));
    automatic.current = true;
    setTurn((before) => before + 1);
  }, [cause, view]);

  return useMemo(() => ({ id: chosen, isAutomatic: automatic.current, current, turn, select, clear, touch }), [chosen, current, turn, select, clear, touch]);
}
