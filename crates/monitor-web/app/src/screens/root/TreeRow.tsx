import { memo, type ReactNode } from "react";
import type { Process } from "../../api/types.ts";
import { useWorker } from "../../data/workers/useWorker.ts";
import { count, locale, t } from "../../i18n.ts";
import { type Spread, spread } from "../../model/histogram.ts";
import type { Rollup } from "../../model/rollup.ts";
import type { State } from "../../model/state.ts";
import { errorLine } from "../../model/errors.ts";
import { Button } from "../../ui/Button.tsx";
import { Exit } from "../../ui/Exit.tsx";
import { brief, visible } from "../../model/text.ts";
import { duration, elapsedAtLeast } from "../../model/time.ts";
import { Marks } from "../../ui/Marks.tsx";
import { Icon, ICONS } from "../../ui/Icon.tsx";
import { StateGlyph, stateWord } from "../../ui/State.tsx";
import { StateMark } from "../../ui/StateMark.tsx";
import { Name } from "../../ui/Text.tsx";
import { Duration, DurationText } from "../../ui/Time.tsx";

const INDENT = 16;
/** Maximum indentation; deeper rows have the same, so that there is space for the name. */
const MOST_INDENTED = "min(0.45 * var(--first-column, 100%), max(0px, var(--first-column, 100%) - 160px))";

/** Returns the indentation of a level. */
export function indentation(level: number): string {
  return `min(${level * INDENT}px, ${MOST_INDENTED})`;
}

/** Properties of all rows of the tree. */
export interface RowProps {
  /** Key for the selection. */
  id: string;
  row: number;
  top: number;
  level: number;
  place: number;
  size: number;
  open: boolean | undefined;
  selected: boolean;
  onSelect: (id: string) => void;
  onToggle: (id: string) => void;
}

interface Props extends RowProps {
  process: Process;
  /** Summary of its descendants while it is collapsed. */
  below: string;
  /** The parent in another lane. */
  from: Process | undefined;
  fromLane: string | undefined;
  /** Number of children in other lanes, and the first of them. */
  elsewhere: number;
  elsewhereId: string | undefined;
  orphan: boolean;
  /** True if it is only shown because a descendant matches. */
  faint: boolean;
  /** True if it failed below a process that succeeded. */
  handled: boolean;
  startUs: number;
  endUs: number;
}

export const TreeRow = memo(function TreeRow(props: Props) {
  const { process, below, from, fromLane = "", elsewhere, elsewhereId, orphan, handled, onSelect } = props;
  const { fold } = process;
  const of = fold && spread(fold.histogram, { total: fold.total_ns, min: fold.min_ns, max: fold.max_ns });
  return (
    <RowFrame {...props} state={process.state} data={process.id}>
      <What {...props}>
        <StateGlyph state={process.state} />
        <Name text={process.name === "" ? t("root.unnamed") : process.name} />
        {fold && <Times count={fold.count} failed={fold.failed} running={fold.running} spread={of ?? undefined} />}
        {below !== "" && <Below below={below} />}
        {from && (
          <Handed to={from.id} onSelect={onSelect} title={t("lanes.from.why", { name: visible(brief(from.name)), lane: visible(fromLane) })} className="from">
            <Icon d={ICONS.from} /> <Name text={from.name === "" ? t("root.unnamed") : from.name} />
          </Handed>
        )}
        {elsewhereId !== undefined && (
          <Handed to={elsewhereId} onSelect={onSelect} title={t("lanes.elsewhere.why", { count: elsewhere })}>
            <Icon d={ICONS.elsewhere} /> {count(elsewhere)}
          </Handed>
        )}
        <Marks process={process} orphan={orphan} />
      </What>
      <span role="gridcell" className="doing">
        {process.error && (
          <span className="why" title={[visible(errorLine(process.error)), handled && t("root.handled.why")].filter(Boolean).join("\n")}>
            {handled && <span className="hidden">{t("root.handled")}: </span>}
            {visible(errorLine(process.error))}
            <Exit error={process.error} />
          </span>
        )}
      </span>
      <span role="gridcell" className="duration">
        {fold && process.elapsed_ns === null ? <Total nanoseconds={fold.total_ns} /> : <Duration process={process} />}
      </span>
      <span role="gridcell" className="axis" aria-hidden="true">
        <Bar {...props} />
      </span>
    </RowFrame>
  );
});

/** A link to the parent or child in another lane. */
function Handed({ to, onSelect, title, className = "", children }: { to: string; onSelect: (id: string) => void; title: string; className?: string; children: ReactNode }) {
  return (
    <Button
      className={`handed dim ${className}`}
      tabIndex={-1}
      title={title}
      onClick={(event) => {
        event.stopPropagation();
        onSelect(to);
      }}
      onDoubleClick={(event) => event.stopPropagation()}
    >
      <span className="hidden">{title}</span>
      {children}
    </Button>
  );
}

/** A lane: the processes of a host, worker or thread are below it. */
export function LaneRow(props: RowProps & { label: string; below: string }) {
  return (
    <RowFrame {...props} state="">
      <What {...props}>
        <span className="lane-name">
          <Name text={props.label} />
        </span>
        <Below below={props.below} />
      </What>
      <span role="gridcell" className="doing" />
      <span role="gridcell" className="duration" />
      <span role="gridcell" className="axis" aria-hidden="true" />
    </RowFrame>
  );
}

interface GroupProps extends RowProps {
  name: string;
  count: number;
  running: number;
  spread: Spread | undefined;
}

/** Similar siblings in one row. */
export function GroupRow(props: GroupProps) {
  const state: State = props.running > 0 ? "running" : "succeeded";
  return (
    <RowFrame {...props} state={state}>
      <What {...props}>
        <StateGlyph state={state} />
        <Name text={props.name === "" ? t("root.unnamed") : props.name} />
        <Times count={props.count} failed={0} running={props.running} spread={props.spread} />
      </What>
      <span role="gridcell" className="doing" />
      <span role="gridcell" className="duration">
        {props.spread && <Total nanoseconds={props.spread.total} />}
      </span>
      <span role="gridcell" className="axis" aria-hidden="true" />
    </RowFrame>
  );
}

function RowFrame({ state, faint = false, handled = false, data, children, ...props }: RowProps & { state: string; faint?: boolean; handled?: boolean; data?: string; children: ReactNode }) {
  const { id, row, top, level, place, size, open, selected, onSelect, onToggle } = props;
  return (
    <div
      id={`row-${id}`}
      className="node"
      role="row"
      aria-level={level + 1}
      aria-posinset={place}
      aria-setsize={size}
      aria-rowindex={row + 1}
      aria-selected={selected}
      aria-expanded={open}
      data-process={data}
      data-state={state}
      data-faint={faint || undefined}
      data-handled={handled || undefined}
      style={{ transform: `translateY(${top}px)` }}
      onClick={() => onSelect(id)}
      onDoubleClick={open === undefined ? undefined : () => onToggle(id)}
    >
      {children}
    </div>
  );
}

function What({ id, level, open, onToggle, children }: RowProps & { children: ReactNode }) {
  return (
    <span role="gridcell" className="what" style={{ paddingLeft: indentation(level) }}>
      {open === undefined ? (
        <span className="twist" />
      ) : (
        <Button
          className="twist"
          tabIndex={-1}
          aria-label={t(open ? "root.close" : "root.open")}
          onClick={(event) => {
            event.stopPropagation();
            onToggle(id);
          }}
          onDoubleClick={(event) => event.stopPropagation()}
        >
          <Icon d={open ? ICONS.open : ICONS.closed} />
        </Button>
      )}
      {children}
    </span>
  );
}

/** `×1,240  3 failed  p95 2 s`. */
function Times({ count: times, failed, running, spread: of }: { count: number; failed: number; running: number; spread: Spread | undefined }) {
  return (
    <span className="times number dim">
      {t("fold.times", { count: count(times) })}
      {failed > 0 && <InState state="failed" count={failed} />}
      {running > 0 && <InState state="running" count={running} />}
      {of && <span>{t("fold.p95", { duration: duration(of.p95, locale) })}</span>}
    </span>
  );
}

function InState({ state, count: number }: { state: State; count: number }) {
  const words = t("tasks.count", { count: count(number), state: stateWord(state) });
  return (
    <span className="state" data-state={state} title={words}>
      <span aria-hidden="true">
        <StateMark state={state} />
        {count(number)}
      </span>
      <span className="hidden">{words}</span>
    </span>
  );
}

function Total({ nanoseconds }: { nanoseconds: number }) {
  return (
    <span className="dim" title={t("fold.total")}>
      Σ <DurationText nanoseconds={nanoseconds} />
    </span>
  );
}

/** States that a collapsed process shows of its descendants: those that are open or failed. */
const TOLD = ["failed", "lost", "running", "pending"] as const;

/** Returns the counts as text, so that a row is only redrawn if they change: the shown states, then the total. */
export function belowOf(rollup: Rollup, slot: number): string {
  return [...TOLD.map((state) => rollup.below(slot, state)), rollup.total(slot)].join(" ");
}

function Below({ below }: { below: string }) {
  const numbers = below.split(" ").map(Number);
  const total = numbers[TOLD.length] ?? 0;
  return (
    <span className="below number dim">
      {TOLD.map((state, index) => (numbers[index] ?? 0) > 0 && <InState key={state} state={state} count={numbers[index] ?? 0} />)}
      <span title={t("root.below", { count: count(total) })}>{count(total)}</span>
    </span>
  );
}

/** Position in the root's time. Parts outside because of differing clocks are drawn at the edge. */
function Bar({ process, startUs, endUs }: Props) {
  const worker = useWorker(process.state === "lost" ? process.worker_id : null);
  // A root waits since the axis begins; for other processes the beginning of the waiting is unknown.
  const begun = process.started_us ?? (process.state === "pending" && process.parent_id === null ? startUs : null);
  if (begun === null) return null;
  const span = endUs - startUs;
  const took = elapsedAtLeast({ ...process, begun_us: begun }, worker, endUs);
  const from = clamp((begun - startUs) / span);
  const to = took === null ? from : clamp((begun - startUs + took / 1000) / span);
  return <span className="bar" style={{ left: percent(from), width: `max(2px, ${percent(Math.max(0, to - from))})` }} />;
}

function clamp(part: number): number {
  return Math.min(1, Math.max(0, part));
}

function percent(part: number): string {
  return `${(part * 100).toFixed(3)}%`;
}
