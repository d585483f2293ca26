import { useCallback, useEffect, useLayoutEffect, useRef } from "react";
import { t } from "../../i18n.ts";
import { type Filters, isOldestFirst, withFilter } from "../../model/filters.ts";
import { announce } from "../../ui/announce.ts";
import { useNarrow } from "../../ui/useNarrow.ts";
import { useRowKeys } from "../../ui/useRowKeys.ts";
import { useRows } from "../../ui/useRows.ts";
import { RootRow } from "./RootRow.tsx";
import type { Checked } from "./useChecked.ts";
import type { RootListState } from "./useRoots.ts";

/** Rows from the edge at which more are read. */
const NEAR = 30;
/** Beyond so many rows what lies between is not read. */
const FAR = 300;

/** Where each view of the list was scrolled to, for Back. */
const scrolled = new Map<string, number>();

/** The rows, virtual; more are read before the end is reached. */
export function RootList({ list, checked, filters, onFilters }: { list: RootListState; checked: Checked; filters: Filters; onFilters: (filters: Filters) => void }) {
  const { roots, index: before, held, hold, loadMore, loadBefore, jump, hasBefore, loadingMore } = list;
  const scroller = useRef<HTMLDivElement>(null);
  const narrow = useNarrow();
  const rowHeight = narrow ? 48 : 28;
  const headHeight = narrow ? 0 : 28;
  const view = useRef(location.search).current;
  const count = before + roots.length;
  // What is being read stays where it is while others come and go above it.
  const anchor = useRef<{ id: string; top: number; offset: number } | null>(null);
  const at = anchor.current ? roots.findIndex(({ root_id }) => root_id === anchor.current?.id) : -1;
  const moved = anchor.current && at >= 0 ? { from: anchor.current.top, to: Math.max(0, (before + at) * rowHeight - anchor.current.offset) } : undefined;
  const virtual = useRows(scroller, { count, rowHeight, head: headHeight, initialTop: scrolled.get(view) ?? 0, moved });
  useRowKeys(scroller, virtual, { count, rowHeight, head: headHeight });

  useEffect(() => {
    if (held > 0) announce("new", t("tasks.new", { count: held }));
  }, [held]);

  const { first, end, top: topNow } = virtual;
  useEffect(() => {
    if (hasBefore && end + FAR < before) jump(Math.floor(topNow() / rowHeight));
    else if (hasBefore && first < before + NEAR) loadBefore();
    else if (end >= count - NEAR) loadMore();
  });

  const drop = () => {
    const top = topNow();
    const row = Math.floor(top / rowHeight);
    const root = roots[row - before];
    anchor.current = root && (top > 0 || hasBefore) ? { id: root.root_id, top, offset: row * rowHeight - top } : null;
  };
  useLayoutEffect(drop);

  // With Shift, all from the one that was ticked before.
  const ticked = useRef<string>(undefined);
  const newest = useRef(roots);
  newest.current = roots;
  const { set } = checked;
  const onCheck = useCallback(
    (id: string, to: boolean, isRange: boolean) => {
      const place = (of: string | undefined) => newest.current.findIndex(({ root_id }) => root_id === of);
      const [from, until] = [place(ticked.current), place(id)].toSorted((a, b) => a - b) as [number, number];
      const range = isRange && from >= 0 ? newest.current.slice(from, until + 1) : [];
      for (const each of [id, ...range.map(({ root_id }) => root_id)]) set(each, to);
      ticked.current = id;
    },
    [set],
  );

  const isOldest = isOldestFirst(filters);
  const onScroll = () => {
    virtual.onScroll();
    drop();
    scrolled.set(view, topNow());
    hold(!isOldest && (hasBefore || topNow() > rowHeight));
  };
  const showNew = () => {
    hold(false);
    list.toTop();
    virtual.scrollTo(0);
  };
  return (
    <div className="list">
      {held > 0 && (
        <button type="button" className="new" onClick={showNew}>
          {t("tasks.new", { count: held })}
        </button>
      )}
      <div
        className="scroller"
        ref={scroller}
        onScroll={onScroll}
        onScrollEnd={virtual.onScrollEnd}
        role="table"
        aria-label={t("tasks.list")}
        aria-rowcount={list.hasMore || hasBefore ? -1 : roots.length + 1}
      >
        <div className="root head" role="row" aria-rowindex={1}>
          <span role="columnheader" className="check">
            <input type="checkbox" aria-label={t("tasks.check.all")} checked={roots.length > 0 && roots.every((root) => checked.ids.has(root.root_id))} onChange={(event) => roots.forEach((root) => checked.set(root.root_id, event.target.checked))} />
          </span>
          {(["state", "task", "started", "duration", "worker", "processes"] as const).map((column) =>
            column === "started" ? (
              <span key={column} role="columnheader" className={column} aria-sort={isOldest ? "ascending" : "descending"}>
                <button type="button" title={t(isOldest ? "tasks.sort.newest" : "tasks.sort.oldest")} onClick={() => onFilters(withFilter(filters, "sort", isOldest ? "" : "oldest"))}>
                  {t("tasks.column.started")} <span aria-hidden="true">{isOldest ? "▴" : "▾"}</span>
                </button>
              </span>
            ) : (
              <span key={column} role="columnheader" className={column}>
                {t(`tasks.column.${column}`)}
              </span>
            ),
          )}
        </div>
        <div className="canvas" role="rowgroup" style={{ height: virtual.height }}>
          {roots.slice(Math.max(0, first - before), Math.max(0, end - before)).map((root, at) => {
            const index = Math.max(first, before) + at;
            return <RootRow key={root.root_id} root={root} index={index} top={virtual.topOf(index)} checked={checked.ids.has(root.root_id)} onCheck={onCheck} />;
          })}
        </div>
      </div>
      {loadingMore && <p className="more dim">{t("tasks.more")}</p>}
    </div>
  );
}
