/** Keyboard shortcuts in a tree. */
import { MATCH } from "../../model/filter.ts";
import type { Selection } from "./useSelection.ts";
import type { RootView } from "./view.ts";

const PAGE = 20;

/** Keys that have the same effect regardless of the focus. */
export const EVERYWHERE = ["e", "E", "Escape"];

/** Handles a key; returns true if it had an effect. */
export function handleKey(key: string, view: RootView, selection: Selection): boolean {
  if (key === "e") return stepFailure(view, selection, 1);
  if (key === "E") return stepFailure(view, selection, -1);
  if (key === "Escape") {
    if (selection.current() === null) return false;
    selection.clear();
    return true;
  }
  if (/^[1-9]$/.test(key)) {
    view.foldAll(Number(key));
    return true;
  }
  const selected = selection.current();
  const row = selected === null ? -1 : view.rowOf(selected);
  const last = view.rows().slots.length - 1;
  const go = (to: number) => {
    const target = view.idOf(Math.min(last, Math.max(0, to)));
    if (target !== undefined) selection.select(target);
    return true;
  };
  switch (key) {
    case "p":
      return selectParent(view, selection);
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
      return row >= 0 && openOrEnter(view, row, () => go(row + 1));
    case "ArrowLeft":
      return row >= 0 && closeOrLeave(view, row, go);
    default:
      return false;
  }
}

/** Selects the next or previous failure, cyclically: the failing path first, handled failures last. */
export function stepFailure(view: RootView, selection: Selection, step: 1 | -1): boolean {
  const found = view.found();
  const leaves = view.failures().leaves.filter((leaf) => !found || found.marks[leaf] === MATCH);
  if (leaves.length === 0) return false;
  const slot = view.tree.find(selection.current() ?? "");
  const at = slot === undefined ? -1 : leaves.indexOf(slot);
  const from = at === -1 && step === -1 ? 0 : at;
  const target = leaves[(from + step + leaves.length) % leaves.length] as number;
  view.reveal(target);
  selection.select(view.tree.at(target).id);
  return true;
}

/** Selects the parent of the selected process, in whichever lane it is. */
function selectParent(view: RootView, selection: Selection): boolean {
  const slot = view.tree.find(selection.current() ?? "");
  const parent = slot === undefined ? undefined : view.tree.parentOf(slot);
  if (parent !== undefined) selection.select(view.tree.idOf(parent));
  return slot !== undefined;
}

/** Returns true if a row is expanded; undefined if it has no children. */
export function isOpen(view: RootView, row: number): boolean | undefined {
  const { slots, depths } = view.rows();
  const slot = slots[row] as number;
  const group = view.groupAt(row);
  if (group?.lane) return view.found() !== undefined || view.folding.isLaneOpen(group.key);
  if (group) return view.folding.isGroupOpen(group.key);
  if ((view.lanes() ?? view.tree).childrenOf(slot).length === 0) return undefined;
  return view.found() !== undefined || view.folding.isOpen(slot, depths[row] ?? 0);
}

/** Expands or collapses a row. */
export function fold(view: RootView, row: number, open: boolean): void {
  const group = view.groupAt(row);
  if (group) view.foldGroup(group, open);
  else view.fold(view.rows().slots[row] as number, open);
}

function openOrEnter(view: RootView, row: number, enter: () => void): boolean {
  const open = isOpen(view, row);
  if (open) enter();
  else if (open === false) fold(view, row, true);
  return true;
}

function closeOrLeave(view: RootView, row: number, go: (row: number) => void): boolean {
  if (isOpen(view, row) && !view.found()) {
    fold(view, row, false);
    return true;
  }
  const above = rowAbove(view, row);
  if (above >= 0) go(above);
  return true;
}

/** Returns the parent row; -1 at the top. */
export function rowAbove(view: RootView, row: number): number {
  const { levels, slots, positions, laneRows } = view.rows();
  const level = levels[row] ?? 0;
  if (level === 0) return -1;
  const slot = slots[row] as number;
  const lanes = view.lanes();
  const member = slot >= 0 ? slot : (view.groupAt(row)?.members[0] as number);
  const parent = (lanes ?? view.tree).parentOf(member);
  const lane = parent === undefined && lanes?.list[lanes.indexOf(member)];
  const above = lane ? (laneRows.get(lane.key) ?? -1) : parent === undefined ? -1 : (positions[parent] ?? -1);
  if (above >= 0 && levels[above] === level - 1) return above;
  // For a member of a group, the group's row is in between.
  for (let before = row - 1; before >= 0; before -= 1) if ((levels[before] ?? 0) < level) return before;
  return -1;
}
