/** What the keys do in a tree. */
import type { Selection } from "./useSelection.ts";
import type { RootView } from "./view.ts";

const PAGE = 20;

/** Handles a key; returns whether it meant something. */
export function handleKey(key: string, view: RootView, selection: Selection): boolean {
  if (key === "e") return stepFailure(view, selection, 1);
  if (key === "E") return stepFailure(view, selection, -1);
  if (key === "Escape") {
    if (selection.id === null) return false;
    selection.clear();
    return true;
  }
  const { slots, positions } = view.rows();
  const slot = selection.id === null ? undefined : view.tree.find(selection.id);
  const row = slot === undefined ? -1 : (positions[slot] ?? -1);
  const last = slots.length - 1;
  const go = (to: number) => {
    const target = slots[Math.min(last, Math.max(0, to))];
    if (target !== undefined) selection.select(view.tree.at(target).id);
    return true;
  };
  switch (key) {
    case "ArrowDown":
      return go(row + 1);
    case "ArrowUp":
      return go(row - 1);
    case "PageDown":
      return go(row + PAGE);
    case "PageUp":
      return go(row - PAGE);
    case "Home":
      return go(0);
    case "End":
      return go(last);
    case "ArrowRight":
      return slot !== undefined && row >= 0 && openOrEnter(view, selection, slot, row);
    case "ArrowLeft":
      return slot !== undefined && row >= 0 && closeOrLeave(view, selection, slot, row);
    default:
      return false;
  }
}

/** Selects the failure after or before the selected process, in tree order, round and round. */
export function stepFailure(view: RootView, selection: Selection, step: 1 | -1): boolean {
  const leaves = view.failures();
  if (leaves.length === 0) return false;
  const slot = selection.id === null ? undefined : view.tree.find(selection.id);
  const at = slot === undefined ? -1 : leaves.indexOf(slot);
  const from = at === -1 && step === -1 ? 0 : at;
  const target = leaves[(from + step + leaves.length) % leaves.length] as number;
  view.reveal(target);
  selection.select(view.tree.at(target).id);
  return true;
}

function openOrEnter(view: RootView, selection: Selection, slot: number, row: number): boolean {
  const first = view.tree.childrenOf(slot)[0];
  if (first === undefined) return true;
  if (isOpen(view, slot, row)) selection.select(view.tree.at(first).id);
  else view.fold(slot, true);
  return true;
}

function closeOrLeave(view: RootView, selection: Selection, slot: number, row: number): boolean {
  if (view.tree.childrenOf(slot).length > 0 && isOpen(view, slot, row)) {
    view.fold(slot, false);
    return true;
  }
  const parent = view.tree.parentOf(slot);
  if (parent !== undefined) selection.select(view.tree.at(parent).id);
  return true;
}

function isOpen(view: RootView, slot: number, row: number): boolean {
  return view.folding.isOpen(slot, view.rows().depths[row] ?? 0);
}
