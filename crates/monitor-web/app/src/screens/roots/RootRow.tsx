import { Link } from "@tanstack/react-router";
import { memo } from "react";
import type { Root } from "../../api/types.ts";
import { useWorker } from "../../data/workers/useWorker.ts";
import { t } from "../../i18n.ts";
import { errorLine } from "../../model/errors.ts";
import { visible } from "../../model/text.ts";
import { clock, elapsed } from "../../model/time.ts";
import { AttemptNow } from "../../ui/AttemptNow.tsx";
import { Exit } from "../../ui/Exit.tsx";
import { Expected } from "../../ui/Expected.tsx";
import { Input } from "../../ui/Input.tsx";
import { Overdue } from "../../ui/Marks.tsx";
import { StateGlyph } from "../../ui/State.tsx";
import { Strip } from "../../ui/Strip.tsx";
import { Name, RunTitle } from "../../ui/Text.tsx";
import { Ago } from "../../ui/Time.tsx";
import { Took } from "../../ui/Took.tsx";

interface Props {
  root: Root;
  /** States of the last runs with the same name. */
  marks: string;
  index: number;
  top: number;
  checked: boolean;
  onCheck: (id: string, checked: boolean, isRange: boolean) => void;
}

export const RootRow = memo(function RootRow({ root, marks, index, top, checked, onCheck }: Props) {
  const worker = useWorker(root.worker_id);
  return (
    <div
      className="root"
      role="row"
      aria-rowindex={index + 2}
      data-row={index}
      data-root={root.root_id}
      data-state={root.state}
      style={{ transform: `translateY(${top}px)` }}
      onClick={follow}
    >
      <span role="cell" className="check">
        <Input
          type="checkbox"
          tabIndex={-1}
          aria-label={t("tasks.check", { task: visible(root.title) })}
          checked={checked}
          onChange={(event) => onCheck(root.root_id, event.target.checked, (event.nativeEvent as MouseEvent).shiftKey)}
        />
      </span>
      <span role="cell" className="mark-cell">
        <StateGlyph state={root.state} />
      </span>
      <span role="cell" className="task">
        <Link to="/tasks/$root" params={{ root: root.root_id }} className="title">
          <RunTitle run={root} />
        </Link>
        {root.pinned === true && (
          <span className="mark" title={t("tasks.pinned.why")}>
            {t("tasks.pinned")}
          </span>
        )}
        {root.unattached === true && (
          <span className="mark" title={t("mark.unattached.why")}>
            {t("mark.unattached")}
          </span>
        )}
      </span>
      <span role="cell" className="doing">
        <Why root={root} />
        <AttemptNow of={root} />
        <Expected process={root} />
        <Overdue of={root} />
      </span>
      <span role="cell" className="last-runs">
        {marks !== "" && <Strip marks={marks} />}
      </span>
      <span role="cell" className="started">
        <Ago timeUs={root.started_us} />
      </span>
      <span role="cell" className="duration">
        <Length root={root} />
        <Took root={root} />
      </span>
      <span role="cell" className="worker">
        {worker && <Name text={worker.hostname} />}
      </span>
    </div>
  );
});

/** A bar for the duration on a logarithmic scale: a second is twice as long as a millisecond. */
function Length({ root }: { root: Root }) {
  const took = elapsed(root, Date.now() * 1000);
  if (took === null) return null;
  const part = Math.min(1, Math.max(0.02, Math.log10(Math.max(1, took / 1e5)) / 8));
  return <i className="length" style={{ width: `${Math.round(part * 48)}px` }} aria-hidden="true" />;
}

/** Elements above the link that covers the row forward clicks to it. */
function follow({ target, currentTarget }: React.MouseEvent): void {
  if (!(target as Element).closest("a, .check")) currentTarget.querySelector("a")?.click();
}

/** The error, in the row itself. */
function Why({ root }: { root: Root }) {
  const worker = useWorker(root.worker_id);
  if (root.error) {
    const text = visible(errorLine(root.error));
    return (
      <span className="why" data-own={root.state === "failed"} title={text}>
        {text}
        <Exit error={root.error} />
      </span>
    );
  }
  const handled = root.state === "succeeded" ? root.counts.failed + root.counts.lost : 0;
  if (handled > 0) return <span className="why">{t("tasks.handled", { count: handled })}</span>;
  if (root.state !== "lost" || !worker || worker.last_seen_us === 0) return null;
  return <span className="why lost">{t("tasks.lost-since", { worker: visible(worker.hostname), time: clock(worker.last_seen_us) })}</span>;
}
