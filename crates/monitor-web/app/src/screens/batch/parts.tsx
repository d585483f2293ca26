import { Link } from "@tanstack/react-router";
import type { BatchRun, BatchTask, Command } from "../../api/types.ts";
import { pauseBatchTask } from "../../api/batch.ts";
import { useMay } from "../../data/useMe.ts";
import { t, wordText } from "../../i18n.ts";
import { visible } from "../../model/text.ts";
import { absolute } from "../../model/time.ts";
import { AdminButton, OperatorButton } from "../../ui/OperatorButton.tsx";
import { Ago } from "../../ui/Time.tsx";

/** Returns the names of the agents that run the task. */
export function agentsOf(task: BatchTask): string {
  if (task.agent !== null) return visible(task.agent);
  const on = task.definition["on"];
  return Array.isArray(on) && on.length > 0 ? on.map((agent) => visible(String(agent))).join(", ") : t("batch.own");
}

export function ownerOf(task: BatchTask): string {
  const owner = task.definition["owner"];
  const all: unknown[] = Array.isArray(owner) ? owner : [owner];
  return all.filter((one) => typeof one === "string").map(visible).join(", ");
}

/** Returns true if the rules start no runs, because the task is paused by a user or by its definition. */
export function isPaused(task: BatchTask): boolean {
  return task.status === "paused" || task.definition["paused"] === true;
}

/** Next due time, or the reason why there is none. */
export function Next({ task }: { task: BatchTask }) {
  if (task.paused_by === "refused") return <span className="dim">{t("batch.paused")}</span>;
  if (isPaused(task) && (task.until_us === null || task.definition["paused"] === true)) return <span className="dim">{t("batch.paused")}</span>;
  const next = task.next_us[0];
  if (next === undefined) return <span className="dim">{task.paused_by === "agent" ? t("batch.paused") : "–"}</span>;
  return (
    <>
      {task.status === "paused" && <span className="dim">{t("batch.paused")} · </span>}
      <Ago timeUs={next} />
    </>
  );
}

/** Formats the time in the task's time zone; empty if the browser doesn't know that zone. */
export function inZone(dueUs: number, zone: string): string {
  try {
    return `${absolute(dueUs, zone).slice(0, 19)} ${zone}`;
  } catch {
    return "";
  }
}

/** Returns the agents' responses to an order, or that it waits for them. */
export function orderText({ lines = [], until_us }: Command): string {
  const text = ({ name, status, value, error }: NonNullable<Command["lines"]>[number]) => {
    if (status === "ok") return `${visible(name)}: ${typeof value === "string" ? visible(value) : t("batch.order.done")}`;
    if (status === "waiting") return t("batch.order.waits", { agent: visible(name), until: absolute(until_us ?? 0).slice(11, 19) });
    return `${visible(name)}: ${visible(error ?? status)}`;
  };
  return lines.map(text).join("\n");
}

/** Pauses or resumes a task. A task from a file must be changed in its file. */
export function PauseButton({ task, act }: { task: BatchTask; act: (deed: () => Promise<void>) => void }) {
  const isOff = task.status === "paused";
  if (task.agent !== null) return <span className="dim" title={visible(task.who ?? "")}>{t("batch.by-file")}</span>;
  return (
    <OperatorButton className="quiet" aria-pressed={isOff} onClick={() => act(() => pauseBatchTask(task.name, !isOff).then(() => undefined))}>
      {t(isOff ? "batch.resume" : "batch.pause")}
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

/** Returns details of a run's end: its exit code, and the agent's interpretation. */
export function resultOf(run: BatchRun): string[] {
  const code = run.result_code ?? run.exit_code;
  const reason = run.reason === null ? "" : wordText("batch.result", run.reason, {}, "");
  return [code !== null && code !== 0 ? t("batch.exit", { code }) : "", reason].filter((text) => text !== "");
}

/** Returns the times of a run in the form that durations are shown from. */
export function timesOf({ outcome, started_us, ended_us, elapsed_ns }: BatchRun) {
  return { state: outcome, started_us, ended_us, elapsed_ns };
}

/** A link to the form of a task, which only administrators can use. For others it is disabled, with the reason. */
export function EditLink({ task, className, children }: { task?: string; className: string; children: string }) {
  if (useMay("admin") !== false) {
    return (
      <Link to="/tasks/batch" search={{ tab: "edit", ...(task !== undefined && { task }) }} className={className}>
        {children}
      </Link>
    );
  }
  return (
    <AdminButton className={className} onClick={() => undefined}>
      {children}
    </AdminButton>
  );
}
