import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { fetchBatchTask, fetchBatchVersions } from "../../api/batch.ts";
import type { BatchTask } from "../../api/types.ts";
import { useAgain } from "../../data/useAgain.ts";
import { t, wordText } from "../../i18n.ts";
import { visible, visibleLines } from "../../model/text.ts";
import { absolute } from "../../model/time.ts";
import { WhyRefused } from "../../ui/OperatorButton.tsx";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { Ago } from "../../ui/Time.tsx";
import { Outcomes } from "./Marks.tsx";
import { RunList } from "./Runs.tsx";
import { At, PauseButton, agentsOf, ownerOf } from "./parts.tsx";

const AGAIN_MS = 10_000;

/** One task: when it is due, what became of its runs, its definition and its versions. */
export function Task({ name }: { name: string }) {
  const query = useQuery({ queryKey: ["batch-task", name], queryFn: ({ signal }) => fetchBatchTask(name, signal), refetchInterval: AGAIN_MS });
  useAgain(() => void query.refetch(), 1000, query.isFetching);
  const task = query.data;
  return (
    <div className="batch">
      <header className="title">
        <Link to="/tasks/batch" className="link">
          {t("batch.title")}
        </Link>
        <h1>{visible(name)}</h1>
        {task && <PauseButton task={task} onDone={() => void query.refetch()} />}
        <WhyRefused />
      </header>
      {query.error && <ProblemNotice error={query.error} onRetry={() => void query.refetch()} />}
      {query.isPending && <p className="notice dim">{t("loading")}</p>}
      {task && <Facts task={task} />}
      {task && (
        <section aria-labelledby="batch-runs">
          <h2 id="batch-runs">{t("batch.runs")}</h2>
          <RunList query={{ task: name }} isOfTask />
        </section>
      )}
      {task && <Versions task={task} />}
    </div>
  );
}

function Facts({ task }: { task: BatchTask }) {
  const zone = task.definition["zone"];
  const facts: [string, React.ReactNode][] = [
    [t("batch.column.state"), `${wordText("batch.status", task.status)} · ${t("batch.version", { version: task.version })}`],
    [t("batch.column.agent"), agentsOf(task)],
    [t("batch.column.owner"), ownerOf(task)],
    [t("batch.column.outcomes"), <Outcomes marks={task.runs} />],
  ];
  return (
    <div className="facts">
      <dl>
        {facts.filter(([, value]) => value !== "").map(([label, value]) => (
          <div key={label}>
            <dt>{label}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <section aria-labelledby="batch-next">
        <h2 id="batch-next">{t("batch.next")}</h2>
        {task.next_us.length === 0 ? (
          <p className="dim">{t(task.status === "paused" ? "batch.paused" : "batch.not-by-time")}</p>
        ) : (
          <ol className="next">
            {task.next_us.map((due) => (
              <li key={due}>
                <At timeUs={due} />
                {typeof zone === "string" && <span className="dim mono"> {inZone(due, zone)}</span>}
              </li>
            ))}
          </ol>
        )}
      </section>
      <section aria-labelledby="batch-definition">
        <h2 id="batch-definition">{t("batch.definition")}</h2>
        <pre className="mono">{visibleLines(JSON.stringify(task.definition, null, 2))}</pre>
      </section>
    </div>
  );
}

/** The same time on the clock of the task's zone; nothing if the browser doesn't know that one. */
function inZone(dueUs: number, zone: string): string {
  try {
    return `${absolute(dueUs, zone).slice(0, 19)} ${zone}`;
  } catch {
    return "";
  }
}

function Versions({ task }: { task: BatchTask }) {
  const query = useQuery({ queryKey: ["batch-versions", task.name, task.version], queryFn: ({ signal }) => fetchBatchVersions(task.name, signal) });
  const versions = query.data?.versions ?? [];
  return (
    <section aria-labelledby="batch-versions">
      <h2 id="batch-versions">{t("batch.versions")}</h2>
      {query.error && <ProblemNotice error={query.error} onRetry={() => void query.refetch()} />}
      <ol className="versions">
        {versions.map((version) => (
          <li key={version.version} data-version={version.version}>
            <span>{t("batch.version", { version: version.version })}</span>{" "}
            <span className="dim">
              {visible(version.who ?? "")} <Ago timeUs={version.time_us} />
            </span>
            {version.diff.length > 0 && (
              <pre className="mono">
                {version.diff.map((line) => (
                  <span key={line} data-sign={line.slice(0, 1)}>
                    {visible(line)}
                    {"\n"}
                  </span>
                ))}
              </pre>
            )}
          </li>
        ))}
      </ol>
    </section>
  );
}
