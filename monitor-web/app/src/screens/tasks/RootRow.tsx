import { Link } from "@tanstack/react-router";
import { memo } from "react";
import type { Root } from "../../api/types.ts";
import { useWorker } from "../../data/useWorker.ts";
import { locale, t } from "../../i18n.ts";
import { errorLine } from "../../model/errors.ts";
import { visible } from "../../model/text.ts";
import { ago } from "../../model/time.ts";
import { Counts } from "../../ui/Counts.tsx";
import { Expected } from "../../ui/Expected.tsx";
import { Overdue } from "../../ui/Marks.tsx";
import { StateLabel } from "../../ui/State.tsx";
import { Name } from "../../ui/Text.tsx";
import { Ago, Duration } from "../../ui/Time.tsx";

interface Props {
  root: Root;
  index: number;
  top: number;
  checked: boolean;
  onCheck: (id: string, checked: boolean, isRange: boolean) => void;
}

export const RootRow = memo(function RootRow({ root, index, top, checked, onCheck }: Props) {
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
        <input type="checkbox" aria-label={t("tasks.check", { task: visible(root.title) })} checked={checked} onChange={(event) => onCheck(root.root_id, event.target.checked, (event.nativeEvent as MouseEvent).shiftKey)} />
      </span>
      <span role="cell" className="state">
        <StateLabel state={root.state} />
      </span>
      <span role="cell" className="task">
        <Link to="/tasks/$root" params={{ root: root.root_id }} className="title">
          <Name text={root.name === "" ? `${t("root.unnamed")} ${root.title}` : root.title} tail={tailOf(root)} />
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
        <Overdue of={root} />
        <Why root={root} />
        <Expected process={root} />
      </span>
      <span role="cell" className="started">
        <Ago timeUs={root.started_us} />
      </span>
      <span role="cell" className="duration">
        <Duration process={root} />
      </span>
      <span role="cell" className="worker">
        {worker && <Name text={worker.hostname} />}
      </span>
      <span role="cell" className="processes">
        <Counts counts={root.counts} />
      </span>
    </div>
  );
});

/** What stands above the link that the whole row is leads where it leads. */
function follow({ target, currentTarget }: React.MouseEvent): void {
  if (!(target as Element).closest("a, .check")) currentTarget.querySelector("a")?.click();
}

/** The end of a title that is always shown: batch and number, and of a name the last few signs, by which many differ. */
function tailOf({ name, title }: Root): number {
  return Math.min(24, Math.max(0, title.length - name.length) + 4);
}

/** What went wrong, in the row itself. */
function Why({ root }: { root: Root }) {
  const worker = useWorker(root.worker_id);
  if (root.error) {
    const text = visible(errorLine(root.error));
    return (
      <span className="why" data-own={root.state === "failed"} title={text}>
        {text}
      </span>
    );
  }
  if (root.state !== "lost" || !worker || worker.last_seen_us === 0) return null;
  const time = ago(worker.last_seen_us, Date.now() * 1000, locale);
  return <span className="why lost">{t("tasks.lost-since", { worker: visible(worker.hostname), time })}</span>;
}
