import { Link } from "@tanstack/react-router";
import type { QueueTasksPage } from "../../api/types.ts";
import { t, wordText } from "../../i18n.ts";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { StateGlyph } from "../../ui/State.tsx";
import { Name } from "../../ui/Text.tsx";
import { Ago, Duration } from "../../ui/Time.tsx";

export const MOST_TASKS = 20;

interface Props {
  id: string;
  page: QueueTasksPage | undefined;
  error: unknown;
  onRetry: () => void;
}

/** The newest tasks of queues that a worker works on or has received. */
export function Tasks({ id, page, error, onRetry }: Props) {
  const tasks = page?.tasks ?? [];
  return (
    <section aria-labelledby="worker-tasks">
      <h2 id="worker-tasks">
        {t("worker.queue-tasks")}{" "}
        {tasks.length > 0 && (
          <Link className="link" to="/tasks/queue" search={{ q: `worker:${id}` }}>
            {t("worker.queue-tasks.all")}
          </Link>
        )}
      </h2>
      {error != null && <ProblemNotice error={error} onRetry={onRetry} />}
      {tasks.length === 0 && error == null && <p className="dim">{t("workers.nothing")}</p>}
      <ul className="work">
        {tasks.map((task) => (
          <li key={`${task.root_id} ${task.id}`} data-task-id={task.native_id ?? task.id}>
            <span className="state" data-state={task.state}>
              <StateGlyph state={task.state} /> {wordText("queue.phase", task.task?.phase ?? task.state)}
            </span>
            <Link className="link" to="/tasks/$root" params={{ root: task.root_id }} search={{ process: task.id }}>
              <Name text={task.name === "" ? t("root.unnamed") : task.name} />
            </Link>
            <Duration process={task} />
            <span className="dim">
              <Ago timeUs={task.task?.received_us ?? task.started_us} />
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}
