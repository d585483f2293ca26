import type { BatchTask } from "../../api/types.ts";
import { t, wordText } from "../../i18n.ts";
import { isStopped } from "../../model/batch-tasks.ts";
import { visible } from "../../model/text.ts";
import { absolute, clock } from "../../model/time.ts";
import { Said } from "../../ui/Text.tsx";
import { Ago, Duration } from "../../ui/Time.tsx";
import { resultOf, timesOf } from "./parts.tsx";

/** Result of the last run of a task, or the reason why there is none. The reason of a failure comes first. */
export function LastRun({ task }: { task: BatchTask }) {
  const run = task.last_run;
  if (task.missed_us != null) return <span className="why">{t("batch.missed-at", { time: clock(task.missed_us) })}</span>;
  if (run == null) return <span className="dim">{isStopped(task) ? pauseWords(task) : t("batch.never")}</span>;
  if (run.outcome === "running") {
    return (
      <span className="runs-now">
        {t("batch.runs-for")} <Duration process={timesOf(run)} />
      </span>
    );
  }
  const isBad = run.outcome === "failed" || run.outcome === "lost";
  const end = (
    <span className="dim">
      {isBad && task.failed_in_a_row > 1 && `${t("batch.in-a-row", { count: task.failed_in_a_row })} · `}
      {!isBad && isStopped(task) && `${pauseWords(task)} · `}
      {!isBad && (
        <>
          <Duration process={timesOf(run)} />
          {" · "}
        </>
      )}
      <Ago timeUs={run.ended_us ?? run.started_us ?? run.due_us} />
    </span>
  );
  if (!isBad) return end;
  const [first = wordText("state", run.outcome), ...rest] = [...(run.error === null ? [] : [run.error]), ...resultOf(run)];
  return (
    <>
      <span className="why" title={visible(first)}>
        <Said text={first} />
      </span>
      <span className="dim">{rest.map((word) => ` · ${word}`)} · </span>
      {end}
    </>
  );
}

/** Returns by whom a task is paused, and until when. */
export function pauseWords(task: BatchTask): string {
  if (task.paused_by === "agent") return t("batch.paused-agent");
  if (task.paused_by === "refused") return t("batch.refused");
  const who = task.status === "paused" && task.who !== null ? visible(task.who) : undefined;
  const until = task.until_us === null ? undefined : absolute(task.until_us).slice(0, 16);
  if (who === undefined) return t("batch.paused");
  return until === undefined ? t("batch.paused-by", { who }) : t("batch.paused-by-until", { who, until });
}
