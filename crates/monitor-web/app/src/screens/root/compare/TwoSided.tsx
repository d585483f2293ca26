import { type KeyboardEvent, useMemo, useRef, useState } from "react";
import { t } from "../../../i18n.ts";
import type { Comparison, Pair } from "../../../model/compare.ts";
import type { Tree } from "../../../model/tree.ts";
import { Button } from "../../../ui/Button.tsx";
import { Icon, ICONS } from "../../../ui/Icon.tsx";
import { Input } from "../../../ui/Input.tsx";
import { StateGlyph } from "../../../ui/State.tsx";
import { Name } from "../../../ui/Text.tsx";
import { useRowHeight } from "../../../ui/useRowHeight.ts";
import { useRowKeys } from "../../../ui/useRowKeys.ts";
import { useRows } from "../../../ui/useRows.ts";
import { Times } from "./DifferenceList.tsx";

const ROW = 28;
const STEP = 16;

interface Props {
  comparison: Comparison;
  left: Tree;
  right: Tree;
  onSelect: (id: string) => void;
}

/** Both trees, with paired processes on one row. Equal parts are collapsed unless all are requested. */
export function TwoSided({ comparison, left, right, onSelect }: Props) {
  const [all, setAll] = useState(false);
  const [toggled, setToggled] = useState<ReadonlySet<string>>(new Set());
  const scroller = useRef<HTMLDivElement>(null);
  const rows = useMemo(() => {
    const shown: number[] = [];
    const open = new Uint8Array(comparison.pairs.length);
    comparison.pairs.forEach(({ parent }, at) => {
      if (parent >= 0 && !open[parent]) return;
      if (!all && !comparison.differs[at] && parent >= 0) return;
      shown.push(at);
      open[at] = toggled.has(nameOf(comparison.pairs[at] as Pair)) ? 0 : 1;
    });
    return shown;
  }, [comparison, all, toggled]);
  const hasChildren = useMemo(() => {
    const found = new Uint8Array(comparison.pairs.length);
    for (const { parent } of comparison.pairs) if (parent >= 0) found[parent] = 1;
    return found;
  }, [comparison]);
  const of = { count: rows.length, rowHeight: useRowHeight(ROW), head: 0 };
  const virtual = useRows(scroller, of);
  useRowKeys(scroller, virtual, of);
  const toggle = (pair: Pair) =>
    setToggled((before) => {
      const next = new Set(before);
      if (!next.delete(nameOf(pair))) next.add(nameOf(pair));
      return next;
    });
  const onKeyDown = (event: KeyboardEvent) => {
    const at = rows[Number((event.target as Element).closest<HTMLElement>("[data-row]")?.dataset["row"])];
    const pair = at === undefined ? undefined : comparison.pairs[at];
    if (at === undefined || !pair || !hasChildren[at] || !["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    if (toggled.has(nameOf(pair)) === (event.key === "ArrowRight")) toggle(pair);
    event.preventDefault();
  };
  return (
    <>
      <label className="all-pairs">
        <Input type="checkbox" checked={all} onChange={(event) => setAll(event.target.checked)} /> {t("compare.all")}
      </label>
      <div ref={scroller} className="scroller two-sided" role="treegrid" aria-label={t("compare.view.tree")} aria-rowcount={rows.length} tabIndex={0} onKeyDown={onKeyDown} onScroll={virtual.onScroll} onScrollEnd={virtual.onScrollEnd}>
        <div role="rowgroup" style={{ height: virtual.height, position: "relative" }}>
          {rows.slice(virtual.first, virtual.end).map((at, index) => {
            const start = virtual.topOf(virtual.first + index);
            const pair = comparison.pairs[at] as Pair;
            return (
              <div key={at} className="pair" role="row" aria-level={pair.depth + 1} aria-rowindex={virtual.first + index + 1} data-row={virtual.first + index} aria-expanded={hasChildren[at] ? !toggled.has(nameOf(pair)) : undefined} data-change={pair.change} style={{ transform: `translateY(${start}px)` }}>
                <Side tree={left} slot={pair.left} depth={pair.depth} isGone={pair.right < 0}>
                  {hasChildren[at] ? <Twist open={!toggled.has(nameOf(pair))} onClick={() => toggle(pair)} /> : null}
                </Side>
                <Side tree={right} slot={pair.right} depth={pair.depth} onSelect={onSelect} />
                <span role="gridcell" className="change">
                  {pair.change !== "same" && t(`compare.change.${pair.change}`)}
                </span>
                <span role="gridcell">
                  <Times pair={pair} left={left} right={right} />
                </span>
              </div>
            );
          })}
        </div>
      </div>
    </>
  );
}

function Twist({ open, onClick }: { open: boolean; onClick: () => void }) {
  return (
    <Button className="twist" aria-label={t(open ? "root.close" : "root.open")} onClick={onClick}>
      <Icon d={open ? ICONS.open : ICONS.closed} />
    </Button>
  );
}

/** One side of a row. A process without a partner has no link, but can be focused. */
function Side({ tree, slot, depth, isGone = false, onSelect, children }: { tree: Tree; slot: number; depth: number; isGone?: boolean; onSelect?: (id: string) => void; children?: React.ReactNode }) {
  const process = slot < 0 ? null : tree.at(slot);
  const name = process && <Name text={process.name === "" ? t("root.unnamed") : process.name} />;
  return (
    <span role="gridcell" className="side" style={{ paddingLeft: Math.min(depth, 20) * STEP }}>
      {children ?? <span className="twist" />}
      {process && <StateGlyph state={process.state} />}
      {process &&
        (onSelect || isGone ? (
          <Button className="inline" aria-disabled={isGone} onClick={() => onSelect?.(process.id)}>
            {name}
          </Button>
        ) : (
          name
        ))}
    </span>
  );
}

/** Stable key of a pair, because its index changes as the trees grow. */
function nameOf({ left, right }: Pair): string {
  return `${left} ${right}`;
}
