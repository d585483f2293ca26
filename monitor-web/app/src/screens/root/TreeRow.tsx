import { memo } from "react";
import type { Process } from "../../api/types.ts";
import { count, t } from "../../i18n.ts";
import { visible } from "../../model/text.ts";
import { elapsed } from "../../model/time.ts";
import { Marks } from "../../ui/Marks.tsx";
import { StateGlyph, stateWord } from "../../ui/State.tsx";
import { Name } from "../../ui/Text.tsx";
import { Duration } from "../../ui/Time.tsx";
import type { RootView } from "./view.ts";

const INDENT = 16;
/** Deeper rows are no longer indented further: the name needs the room. */
const MOST_INDENTED = 20;
const MOST_INDENTED_NARROW = 6;

interface Props {
  process: Process;
  index: number;
  top: number;
  depth: number;
  branch: "leaf" | "open" | "closed";
  childCount: number;
  orphan: boolean;
  selected: boolean;
  startUs: number;
  endUs: number;
  narrow: boolean;
  view: RootView;
  onSelect: (id: string) => void;
}

export const TreeRow = memo(function TreeRow(props: Props) {
  const { process, index, top, depth, branch, orphan, selected, narrow, view, onSelect } = props;
  const toggle = () => {
    const slot = view.tree.find(process.id);
    if (slot !== undefined) view.fold(slot, branch === "closed");
  };
  const indent = Math.min(depth, narrow ? MOST_INDENTED_NARROW : MOST_INDENTED) * INDENT;
  return (
    <div
      id={`row-${process.id}`}
      className="node"
      role="row"
      aria-level={depth + 1}
      aria-rowindex={index + 1}
      aria-selected={selected}
      aria-expanded={branch === "leaf" ? undefined : branch === "open"}
      data-process={process.id}
      data-state={process.state}
      style={{ transform: `translateY(${top}px)` }}
      onClick={() => onSelect(process.id)}
      onDoubleClick={branch === "leaf" ? undefined : toggle}
    >
      <span role="gridcell" className="what" style={{ paddingLeft: indent }}>
        <Twist branch={branch} onToggle={toggle} />
        <StateGlyph state={process.state} />
        <Name text={process.name === "" ? t("root.unnamed") : process.name} />
        {branch === "closed" && <span className="number dim">{count(props.childCount)}</span>}
        <Marks process={process} orphan={orphan} />
        {process.error && (
          <span className="why" title={visible(process.error.message)}>
            {visible(process.error.message)}
          </span>
        )}
      </span>
      <span role="gridcell" className="word state" aria-hidden="true">
        {stateWord(process.state)}
      </span>
      <span role="gridcell" className="duration">
        <Duration process={process} />
      </span>
      <span role="gridcell" className="axis" aria-hidden="true">
        <Bar {...props} />
      </span>
    </div>
  );
});

function Twist({ branch, onToggle }: { branch: Props["branch"]; onToggle: () => void }) {
  if (branch === "leaf") return <span className="twist" />;
  const label = t(branch === "open" ? "root.close" : "root.open");
  return (
    <button
      type="button"
      className="twist"
      tabIndex={-1}
      aria-label={label}
      data-branch={branch}
      onClick={(event) => {
        event.stopPropagation();
        onToggle();
      }}
      onDoubleClick={(event) => event.stopPropagation()}
    >
      {branch === "open" ? "▾" : "▸"}
    </button>
  );
}

/** Where on the root's time it ran. What clocks place outside is drawn at the edge. */
function Bar({ process, startUs, endUs }: Props) {
  if (process.started_us === null) return null;
  const span = endUs - startUs;
  const took = elapsed(process, endUs);
  const from = clamp((process.started_us - startUs) / span);
  const to = took === null ? from : clamp((process.started_us - startUs + took / 1000) / span);
  return <span className="bar" style={{ left: percent(from), width: `max(2px, ${percent(Math.max(0, to - from))})` }} />;
}

function clamp(part: number): number {
  return Math.min(1, Math.max(0, part));
}

function percent(part: number): string {
  return `${(part * 100).toFixed(3)}%`;
}
