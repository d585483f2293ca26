import { useCallback, useEffect, useRef } from "react";
import type { Root } from "../../api/types.ts";
import { timeOfDay } from "../../clock.ts";
import { useWorker } from "../../data/workers/useWorker.ts";
import { locale, t } from "../../i18n.ts";
import { isHandled } from "../../model/failures.ts";
import { duration, elapsedAtLeast } from "../../model/time.ts";
import { NotPrinted } from "../../ui/NotPrinted.tsx";
import { useNow } from "../../ui/now.ts";
import { useRowHeight } from "../../ui/useRowHeight.ts";
import { useRows } from "../../ui/useRows.ts";
import { ABOVE } from "../../model/filter.ts";
import { EVERYWHERE, fold, handleKey, isOpen } from "./keys.ts";
import { useKeys } from "./useKeys.ts";
import { mostStuck, StickyRows, stuckRows } from "./StickyRows.tsx";
import { belowOf, GroupRow, LaneRow, type RowProps, TreeRow } from "./TreeRow.tsx";
import { bringIntoSight, useAnchor } from "./useAnchor.ts";
import type { Selection } from "./useSelection.ts";
import type { RootView } from "./view.ts";

const ROW = 28;
const HEAD = 28;

interface Props {
  view: RootView;
  root: Root;
  selection: Selection;
}

/** The tree as rows; only visible rows exist. Each has a bar on the root's time axis. */
export function TreeView({ view, root, selection }: Props) {
  const rowHeight = useRowHeight(ROW);
  const scroller = useRef<HTMLDivElement>(null);
  const rows = view.rows();
  const { slots } = rows;
  const { tree } = view;
  const axis = useAxis(root, view);
  const selected = selection.id === null ? undefined : tree.find(selection.id);
  const selectedRow = selection.id === null ? -1 : view.rowOf(selection.id);
  const found = view.found();
  const lanes = view.lanes();
  const onToggle = useCallback(
    (id: string) => {
      const row = view.rowOf(id);
      if (row >= 0) fold(view, row, !isOpen(view, row));
    },
    [view],
  );

  const virtual = useRows(scroller, { count: slots.length, rowHeight, head: HEAD, isPrinted: true });
  const anchor = useAnchor(scroller, virtual, lanes ?? tree, rows, selected, rowHeight);
  const onScroll = () => {
    virtual.onScroll();
    anchor();
  };

  // A new selection is expanded and scrolled into view once, so that the reader can scroll away.
  const shownTurn = useRef(-1);
  useEffect(() => {
    if (selection.id === null || shownTurn.current === selection.turn) return;
    if (selected !== undefined) view.reveal(selected);
    // Expanded rows are drawn first.
    if (selectedRow < 0 || !scroller.current) return;
    scroller.current.scrollIntoView({ block: "nearest" });
    bringIntoSight(scroller.current, virtual, selectedRow, rowHeight, stuckRows(rows, selectedRow, mostStuck(scroller.current.clientHeight, rowHeight)));
    anchor();
    shownTurn.current = selection.turn;
  });

  useEffect(() => scroller.current?.focus({ preventScroll: true }), []);
  // Keys work regardless of the focus, except that buttons and links keep their own keys.
  useKeys(({ key, target }) => (target === document.body || !!scroller.current?.contains(target as Node) || EVERYWHERE.includes(key)) && handleKey(key, view, selection));

  return (
    <div className="tree">
      <div
        ref={scroller}
        className="scroller"
        role="treegrid"
        aria-label={t("root.tree")}
        aria-rowcount={slots.length}
        aria-activedescendant={selectedRow >= 0 ? `row-${selection.id}` : undefined}
        tabIndex={0}
        onScroll={onScroll}
        onScrollEnd={virtual.onScrollEnd}
        onWheel={selection.touch}
        onPointerDown={selection.touch}
      >
        <div className="tree-head dim" aria-hidden="true">
          <span>{t("panel.title")}</span>
          <span className="doing">{t("root.column.why")}</span>
          <span className="duration">{t("tasks.column.duration")}</span>
          <span className="axis number">
            <span>0</span>
            <span>{duration((axis.endUs - axis.startUs) * 1000, locale)}</span>
          </span>
        </div>
        {slots.length === 0 && !view.loading && <p className="notice dim">{t(found ? "root.found.none" : "root.empty")}</p>}
        <StickyRows view={view} first={Math.floor(virtual.top() / rowHeight)} most={mostStuck(scroller.current?.clientHeight ?? 0, rowHeight)} onSelect={selection.select} />
        <div className="canvas" style={{ height: virtual.height }}>
          {Array.from({ length: virtual.end - virtual.first }, (_, at) => {
            const index = virtual.first + at;
            const [slot, id] = [slots[index], view.idOf(index)];
            if (slot === undefined || id === undefined) return null;
            const props: RowProps = {
              id,
              row: index,
              top: virtual.topOf(index),
              level: rows.levels[index] ?? 0,
              place: rows.places[index] ?? 0,
              size: rows.sizes[index] ?? 0,
              open: isOpen(view, index),
              selected: index === selectedRow,
              onSelect: selection.select,
              onToggle,
            };
            return rowOf(view, slot, props, axis);
          })}
        </div>
        <NotPrinted rows={virtual} />
      </div>
    </div>
  );
}

/** Renders a row: of a process, a group, or a lane. */
function rowOf(view: RootView, slot: number, props: RowProps, { startUs, endUs }: Axis) {
  const { tree } = view;
  const [lanes, group] = [view.lanes(), view.groupAt(props.row)];
  if (group?.lane) return <LaneRow key={props.id} {...props} label={group.lane.label} below={belowOf(view.rollup(), view.rollup().ofLane(-1 - slot))} />;
  if (group) {
    const { spread, running } = view.spreadOf(group);
    const first = tree.at(group.members[0] as number);
    return <GroupRow key={props.id} {...props} name={first.name} count={group.members.length} running={running} spread={spread} />;
  }
  const parent = tree.parentOf(slot);
  const from = lanes && parent !== undefined && lanes.parentOf(slot) === undefined ? tree.at(parent) : undefined;
  const elsewhere = lanes?.elsewhere(slot);
  return (
    <TreeRow
      key={props.id}
      {...props}
      process={tree.at(slot)}
      below={props.open === false ? belowOf(view.rollup(), slot) : ""}
      from={from}
      fromLane={from && lanes?.list[lanes.indexOf(parent as number)]?.label}
      elsewhere={elsewhere?.count ?? 0}
      elsewhereId={elsewhere && tree.idOf(elsewhere.first)}
      orphan={tree.isOrphan(slot)}
      faint={view.found()?.marks[slot] === ABOVE}
      handled={isHandled(tree, slot)}
      startUs={startUs}
      endUs={endUs}
    />
  );
}

interface Axis {
  startUs: number;
  endUs: number;
}

/** Returns the axis: from the root's start to its end, to now while it is open, or to the last heartbeat of its worker. */
function useAxis(root: Root, view: RootView): Axis {
  const worker = useWorker(root.state === "lost" ? root.worker_id : null);
  const open = root.ended_us === null && (["pending", "running", "retrying"].includes(root.state) || root.counts.running > 0);
  const first = view.tree.childrenOf(undefined)[0];
  const startUs = root.started_us ?? root.begun_us ?? (first === undefined ? null : view.tree.at(first).started_us) ?? 0;
  // In a long run a pixel represents many seconds, so frequent updates have no visible effect.
  const young = open && timeOfDay() - startUs < 120e6;
  const nowUs = useNow(open ? (young ? "fast" : "slow") : "never");
  const endUs = open ? nowUs : startUs + (elapsedAtLeast(root, worker, startUs) ?? 0) / 1000;
  return { startUs, endUs: Math.max(endUs, startUs + 1) };
}
