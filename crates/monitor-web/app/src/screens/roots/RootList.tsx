import { useCallback, useEffect, useLayoutEffect, useRef } from "react";
import { keptMap } from "../../data/kept.ts";
import { t } from "../../i18n.ts";
import { type Filters, isOldestFirst, withFilter } from "../../model/filters.ts";
import { Button } from "../../ui/Button.tsx";
import { Icon, ICONS } from "../../ui/Icon.tsx";
import { announce } from "../../ui/announce.ts";
import { Input } from "../../ui/Input.tsx";
import { useNarrow } from "../../ui/useNarrow.ts";
import { useRowKeys } from "../../ui/useRowKeys.ts";
import { useRows } from "../../ui/useRows.ts";
import { RootRow } from "./RootRow.tsx";
import { useMarks } from "./useMarks.ts";
import type { Checked } from "./useChecked.ts";
import type { RootListState } from "./useRoots.ts";

/** Distance from the edge, in rows, at which more are read. */
const NEAR = 30;
/** Distance in rows above which the rows in between are not read. */
const FAR = 300;

/** Maximum number of rows that are read again to restore a position. */
const MOST_READ = 3000;

/** Scroll position of each view of the list, for Back and for a reload. */
const scrolled = keptMap<{ top: number; id: string | undefined }>("monitor-scrolled");

/** The rows, virtual; more are read before the end is reached. */
export function RootList({ list, checked, filters, onFilters }: { list: RootListState; checked: Checked; filters: Filters; onFilters: (filters: Filters) => void }) {
  const { roots, index: before, held, hold, loadMore, loadBefore, jump, hasBefore, loadingMore } = list;
  const scroller = useRef<HTMLDivElement>(null);
  const narrow = useNarrow();
  const rowHeight = narrow ? 56 : 32;
  const marksOf = useMarks(roots);
  const view = useRef(location.search).current;
  const count = before + roots.length;
  // Keeps visible rows in place when rows above are added or removed.
  const anchor = useRef<{ id: string; top: number; offset: number } | null>(null);
  const at = anchor.current ? roots.findIndex(({ root_id }) => root_id === anchor.current?.id) : -1;
  const moved = anchor.current && at >= 0 ? { from: anchor.current.top, to: Math.max(0, (before + at) * rowHeight - anchor.current.offset) } : undefined;
  const virtual = useRows(scroller, { count, rowHeight, head: 0, initialTop: scrolled.get(view)?.top ?? 0, moved });
  useRowKeys(scroller, virtual, { count, rowHeight, head: 0 });

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

  // After a reload, the previous top row is scrolled to as soon as it has been read.
  const wanted = useRef(scrolled.get(view));
  useEffect(() => {
    const to = wanted.current;
    if (!to) return;
    const found = roots.findIndex(({ root_id }) => root_id === to.id);
    const place = found >= 0 ? (before + found) * rowHeight + (to.top % rowHeight) : to.top;
    const isThere = found >= 0 || place + (scroller.current?.clientHeight ?? 0) <= count * rowHeight;
    if (!isThere && list.hasMore && place < (before + MOST_READ) * rowHeight) return loadMore();
    wanted.current = undefined;
    if (place !== topNow()) virtual.scrollTo(place);
  });
  const leave = () => {
    wanted.current = undefined;
  };

  // With Shift, all rows from the previously selected one are selected.
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
    scrolled.set(view, { top: topNow(), id: anchor.current?.id });
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
        <Button className="new" onClick={showNew}>
          {t("tasks.new", { count: held })}
        </Button>
      )}
      <div className="rows" role="table" aria-label={t("tasks.list")} aria-rowcount={list.hasMore || hasBefore ? -1 : roots.length + 1}>
        <div className="scroller" ref={scroller} onScroll={onScroll} onScrollEnd={virtual.onScrollEnd} onWheel={leave} onPointerDown={leave} role="rowgroup" tabIndex={-1}>
          <div className="canvas" role="presentation" style={{ height: virtual.height }}>
            {roots.slice(Math.max(0, first - before), Math.max(0, end - before)).map((root, at) => {
              const index = Math.max(first, before) + at;
              return <RootRow key={root.root_id} root={root} marks={marksOf(root)} index={index} top={virtual.topOf(index)} checked={checked.ids.has(root.root_id)} onCheck={onCheck} />;
            })}
          </div>
        </div>
        <Head list={list} checked={checked} isOldest={isOldest} onSort={() => onFilters(withFilter(filters, "sort", isOldest ? "" : "oldest"))} />
      </div>
      {loadingMore && <p className="more dim">{t("tasks.more")}</p>}
    </div>
  );
}

const COLUMNS = ["task", "doing", "last-runs", "started", "duration", "worker"] as const;

/** Header above the rows. It follows them in Tab order, so that the first row is one step from the filter. */
function Head({ list: { roots }, checked, isOldest, onSort }: { list: RootListState; checked: Checked; isOldest: boolean; onSort: () => void }) {
  return (
    <div role="rowgroup" className="heads">
      <div className="root head" role="row" aria-rowindex={1}>
        <span role="columnheader" className="check">
          <Input type="checkbox" aria-label={t("tasks.check.all")} checked={roots.length > 0 && roots.every((root) => checked.ids.has(root.root_id))} onChange={(event) => roots.forEach((root) => checked.set(root.root_id, event.target.checked))} />
        </span>
        <span role="columnheader" className="mark-cell">
          <span className="hidden">{t("tasks.column.state")}</span>
        </span>
        {COLUMNS.map((column) =>
          column === "started" ? (
            <span key={column} role="columnheader" className={column} aria-sort={isOldest ? "ascending" : "descending"}>
              <Button title={t(isOldest ? "tasks.sort.newest" : "tasks.sort.oldest")} onClick={onSort}>
                {t("tasks.column.started")} <Icon d={isOldest ? ICONS.up : ICONS.down} />
              </Button>
            </span>
          ) : (
            <span key={column} role="columnheader" className={column}>
              {t(`tasks.column.${column}`)}
            </span>
          ),
        )}
      </div>
    </div>
  );
}
