import { Link } from "@tanstack/react-router";
import type { BatchTask } from "../../api/types.ts";
import { pauseBatchTask } from "../../api/batch.ts";
import { t } from "../../i18n.ts";
import { visible } from "../../model/text.ts";
import { absolute, zoneName } from "../../model/time.ts";
import { announce } from "../../ui/announce.ts";
import { OperatorButton } from "../../ui/OperatorButton.tsx";
import { problemText } from "../../ui/Problem.tsx";
import { Ago } from "../../ui/Time.tsx";

/** The agents that run it. */
export function agentsOf(task: BatchTask): string {
  if (task.agent !== null) return visible(task.agent);
  const on = task.definition["on"];
  return Array.isArray(on) && on.length > 0 ? on.map((agent) => visible(String(agent))).join(", ") : t("batch.own");
}

export function ownerOf(task: BatchTask): string {
  const owner = task.definition["owner"];
  return typeof owner === "string" ? visible(owner) : "";
}

/** When it is due next, or why it is not. */
export function Next({ task }: { task: BatchTask }) {
  if (task.status === "paused" && task.until_us === null) return <span className="dim">{t("batch.paused")}</span>;
  const next = task.next_us[0];
  if (next === undefined) return <span className="dim">{t("batch.not-by-time")}</span>;
  return (
    <>
      {task.status === "paused" && <span className="dim">{t("batch.paused")} · </span>}
      <Ago timeUs={next} />
    </>
  );
}

/** A time as it stands on the reader's clock. */
export function At({ timeUs }: { timeUs: number }) {
  return (
    <time className="mono" dateTime={new Date(timeUs / 1000).toISOString()} title={zoneName(timeUs)}>
      {absolute(timeUs).slice(0, 19)}
    </time>
  );
}

/** Pauses a task, or resumes it. A file's task is changed in its file. */
export function PauseButton({ task, onDone }: { task: BatchTask; onDone: () => void }) {
  const isPaused = task.status === "paused";
  const change = () => pauseBatchTask(task.name, !isPaused).then(onDone, (error: unknown) => announce("batch", problemText(error)));
  if (task.agent !== null) return <span className="dim" title={visible(task.who ?? "")}>{t("batch.by-file")}</span>;
  return (
    <OperatorButton className="outlined" aria-pressed={isPaused} onClick={() => void change()}>
      {t(isPaused ? "batch.resume" : "batch.pause")}
    </OperatorButton>
  );
}

export function TaskLink({ name }: { name: string }) {
  return (
    <Link to="/tasks/batch" search={{ task: name }} className="link">
      {visible(name)}
    </Link>
  );
}
