import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useRef } from "react";
import { t } from "../../i18n.ts";
import { announce } from "../../ui/announce.ts";
import { useNarrow } from "../../ui/useNarrow.ts";
import { RootRow } from "./RootRow.tsx";
import type { Checked } from "./useChecked.ts";
import type { RootListState } from "./useRoots.ts";

/** Where each view of the list was scrolled to, for Back. */
const scrolled = new Map<string, number>();

/** The rows, virtual; more are read before the end is reached. */
export function RootList({ list, checked }: { list: RootListState; checked: Checked }) {
  const { roots, held, hold, loadMore, loadingMore } = list;
  const scroller = useRef<HTMLDivElement>(null);
  const narrow = useNarrow();
  const rowHeight = narrow ? 48 : 28;
  const headHeight = narrow ? 0 : 28;
  const view = useRef(location.search).current;
  const virtual = useVirtualizer({
    count: roots.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => rowHeight,
    getItemKey: (index) => roots[index]?.root_id ?? index,
    initialOffset: scrolled.get(view) ?? 0,
    overscan: 6,
    scrollMargin: headHeight,
  });
  useEffect(() => virtual.measure(), [virtual, rowHeight]);

  useEffect(() => {
    if (held > 0) announce("new", t("tasks.new", { count: held }));
  }, [held]);

  const rows = virtual.getVirtualItems();
  const lastRow = rows[rows.length - 1]?.index ?? 0;
  useEffect(() => {
    if (lastRow >= roots.length - 30) loadMore();
  });

  const onScroll = () => {
    const top = scroller.current?.scrollTop ?? 0;
    scrolled.set(view, top);
    hold(top > rowHeight);
  };
  const showNew = () => {
    hold(false);
    scroller.current?.scrollTo({ top: 0 });
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
        role="table"
        aria-label={t("tasks.list")}
        aria-rowcount={list.hasMore ? -1 : roots.length + 1}
      >
        <div className="root head" role="row" aria-rowindex={1}>
          <span role="columnheader" className="check">
            <input type="checkbox" aria-label={t("tasks.check.all")} checked={roots.length > 0 && roots.every((root) => checked.ids.has(root.root_id))} onChange={(event) => roots.forEach((root) => checked.set(root.root_id, event.target.checked))} />
          </span>
          {(["state", "task", "started", "duration", "worker", "processes"] as const).map((column) => (
            <span key={column} role="columnheader" className={column}>
              {t(`tasks.column.${column}`)}
            </span>
          ))}
        </div>
        <div className="canvas" role="rowgroup" style={{ height: virtual.getTotalSize() }}>
          {rows.map(({ index, start, key }) => {
            const root = roots[index];
            return root && <RootRow key={key} root={root} index={index} top={start - headHeight} checked={checked.ids.has(root.root_id)} onCheck={checked.set} />;
          })}
        </div>
      </div>
      {loadingMore && <p className="more dim">{t("tasks.more")}</p>}
    </div>
  );
}
