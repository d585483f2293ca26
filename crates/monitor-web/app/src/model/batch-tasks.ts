/** The state of a batch task in lists, and the tabs that it belongs to. */
import type { BatchTask } from "../api/types.ts";

/** The tabs of the list; those that need attention are first. */
export const TASK_TABS = ["failing", "missed", "running", "paused"] as const;
export type TaskTab = (typeof TASK_TABS)[number];

type Task = Pick<BatchTask, "name" | "status" | "paused_by" | "failed_in_a_row" | "missed_us" | "last_run" | "runs" | "definition" | "agent">;

export function isRunning({ runs }: Pick<Task, "runs">): boolean {
  return runs.some(({ outcome }) => outcome === "running");
}

/** Returns true if the rules of the task start no runs for now. */
export function isStopped({ status, paused_by }: Pick<Task, "status" | "paused_by">): boolean {
  return status === "paused" || paused_by != null;
}

/** Returns the tabs of a task. A task that runs may have failed before. */
export function tabsOf(task: Task): TaskTab[] {
  const is: Record<TaskTab, boolean> = { failing: task.failed_in_a_row > 0, missed: task.missed_us != null, running: isRunning(task), paused: isStopped(task) };
  return TASK_TABS.filter((tab) => is[tab]);
}

/** Returns the state that the mark of a task shows: what it does, otherwise what needs attention. */
export function taskState(task: Task): string {
  const [first] = tabsOf(task);
  if (isRunning(task)) return "running";
  if (first === "failing") return task.last_run?.outcome === "lost" ? "lost" : "failed";
  return first ?? task.last_run?.outcome ?? "pending";
}

/** Returns true if a task contains each word in its name, owner, tags or agents. */
export function matchesTask({ name, definition, agent }: Task, text: string): boolean {
  const texts = [name, agent ?? "", ...["owner", "tags", "on"].flatMap((key) => definition[key] ?? [])].map((one) => String(one).toLowerCase());
  return text.toLowerCase().split(/\s+/).every((word) => texts.some((one) => one.includes(word)));
}
