import { useRef } from "react";
import { timeOfDay } from "../../../clock.ts";
import { locale, t } from "../../../i18n.ts";
import type { Comparison, Pair } from "../../../model/compare.ts";
import { errorLine } from "../../../model/errors.ts";
import { brief, visible } from "../../../model/text.ts";
import { duration, elapsed } from "../../../model/time.ts";
import type { Tree } from "../../../model/tree.ts";
import { Button } from "../../../ui/Button.tsx";
import { Name } from "../../../ui/Text.tsx";
import { useRowKeys } from "../../../ui/useRowKeys.ts";
import { useRows } from "../../../ui/useRows.ts";

const ROW = 44;

interface Props {
  comparison: Comparison;
  /** Indices of the displayed pairs in `comparison`. */
  order: readonly number[];
  left: Tree;
  right: Tree;
  onSelect: (id: string) => void;
}

/** The differences, most important first. */
export function DifferenceList({ comparison, order, left, right, onSelect }: Props) {
  const scroller = useRef<HTMLDivElement>(null);
  const virtual = useRows(scroller, { count: order.length, rowHeight: ROW, head: 0 });
  useRowKeys(scroller, virtual, { count: order.length, rowHeight: ROW, head: 0 });
  if (order.length === 0) return <p className="notice dim">{t("compare.same")}</p>;
  return (
    <div ref={scroller} className="scroller differences" role="list" aria-label={t("compare.changes")} tabIndex={0} onScroll={virtual.onScroll} onScrollEnd={virtual.onScrollEnd}>
      <div style={{ height: virtual.height, position: "relative" }}>
        {order.slice(virtual.first, virtual.end).map((place, at) => {
          const pair = comparison.pairs[place];
          return pair && <Difference key={place} pair={pair} comparison={comparison} left={left} right={right} row={virtual.first + at} size={order.length} top={virtual.topOf(virtual.first + at)} onSelect={onSelect} />;
        })}
      </div>
    </div>
  );
}

function Difference({ pair, comparison, left, right, row, size, top, onSelect }: Omit<Props, "order"> & { pair: Pair; row: number; size: number; top: number }) {
  const one = pair.right >= 0 ? right.at(pair.right) : left.at(pair.left);
  const above: string[] = [];
  for (let at = comparison.pairs[pair.parent]; at; at = comparison.pairs[at.parent]) above.unshift((at.right >= 0 ? right.at(at.right) : left.at(at.left)).name);
  return (
    <div className="difference" role="listitem" aria-posinset={row + 1} aria-setsize={size} data-row={row} data-change={pair.change} style={{ transform: `translateY(${top}px)` }}>
      <span className="change">{t(`compare.change.${pair.change}`)}</span>
      <span className="where">
        <Button className="inline" aria-disabled={pair.right < 0} onClick={() => pair.right >= 0 && onSelect(one.id)}>
          <Name text={one.name === "" ? t("root.unnamed") : one.name} />
        </Button>
        <span className="dim path">{one.error && pair.change === "failing" ? visible(errorLine(one.error)) : above.map((each) => visible(brief(each))).join(" › ")}</span>
      </span>
      <Times pair={pair} left={left} right={right} />
    </div>
  );
}

/** Durations in both trees, and the difference. */
export function Times({ pair, left, right }: { pair: Pair; left: Tree; right: Tree }) {
  const time = (tree: Tree, slot: number) => {
    if (slot < 0) return "–";
    const process = tree.at(slot);
    const took = process.fold ? process.fold.total_ns : elapsed(process, timeOfDay());
    return took === null ? "–" : duration(took, locale);
  };
  return (
    <span className="number times">
      {time(left, pair.left)} → {time(right, pair.right)}
      {pair.delta !== null && pair.change !== "same" && <strong> {`${pair.delta < 0 ? "−" : "+"}${duration(Math.abs(pair.delta), locale)}`}</strong>}
    </span>
  );
}
