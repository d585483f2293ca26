import type { BatchTask } from "../../api/types.ts";
import { t } from "../../i18n.ts";
import { tabsOf } from "../../model/batch-tasks.ts";
import { LastRun } from "./LastRun.tsx";
import { TaskLink } from "./parts.tsx";

/** Lists of at most this length show at once what needs attention. */
const SHORT = 12;
const MOST_LINES = 3;

/** The tasks that need attention, above a long list: the most failures first. */
export function Attention({ tasks }: { tasks: readonly BatchTask[] }) {
  const bad = tasks.filter((task) => tabsOf(task).some((tab) => tab === "failing" || tab === "missed"));
  if (bad.length === 0 || tasks.length <= SHORT) return null;
  const most = bad.toSorted((a, b) => b.failed_in_a_row - a.failed_in_a_row).slice(0, MOST_LINES);
  return (
    <section className="attention" aria-label={t("batch.attention")}>
      <h2>{t("batch.attention")}</h2>
      <ol>
        {most.map((task) => (
          <li key={task.name}>
            <span className="number">{Math.max(1, task.failed_in_a_row)}</span> <TaskLink name={task.name} />
            <span className="last">
              <LastRun task={task} />
            </span>
          </li>
        ))}
      </ol>
    </section>
  );
}
