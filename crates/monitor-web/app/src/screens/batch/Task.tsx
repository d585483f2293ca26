import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { fetchBatchTask, fetchBatchVersions, runBatchTask, saveBatchTask } from "../../api/batch.ts";
import type { BatchTask } from "../../api/types.ts";
import { useAgain, useAgainAt } from "../../data/useAgain.ts";
import { t, wordText } from "../../i18n.ts";
import { visible, visibleLines } from "../../model/text.ts";
import { DeedSaid, useDeed } from "../../ui/Deed.tsx";
import { AdminButton, OperatorButton, WhyRefused } from "../../ui/OperatorButton.tsx";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { Ago, At } from "../../ui/Time.tsx";
import { Outcomes } from "./Marks.tsx";
import { RunList } from "./Runs.tsx";
import { Dues } from "./Dues.tsx";
import { Publications } from "./Publications.tsx";
import { useRead } from "./useRead.ts";
import { EditLink, PauseButton, agentsOf, inZone, isPaused, orderText, ownerOf } from "./parts.tsx";

const AGAIN_MS = 1000;

/** One task: its due times, the results of its runs, its definition and versions. */
export function Task({ name }: { name: string }) {
  const query = useQuery({ queryKey: ["batch-task", name], queryFn: ({ signal }) => fetchBatchTask(name, signal), staleTime: 0 });
  useAgain(["batch", "root"], query, AGAIN_MS);
  useAgainAt([query.data?.next_us[0], query.data?.until_us], query);
  const [said, act] = useDeed(() => void query.refetch());
  // Number of parts that have been read, from the top.
  const [read, setRead] = useState(0);
  const task = query.data;
  return (
    <div className="pane batch">
      <header className="title">
        <Link to="/tasks/batch" className="link">
          {t("batch.title")}
        </Link>
        <h1>{visible(name)}</h1>
        {task && (
          <>
            <OperatorButton className="outlined" onClick={() => act(() => runBatchTask(name).then(orderText))}>
              {t("batch.run")}
            </OperatorButton>
            <PauseButton task={task} act={act} />
            <Link to="/tasks/batch" search={{ tab: "day", q: name }} className="outlined">
              {t("batch.day")}
            </Link>
            {task.agent === null && (
              <EditLink task={name}>{t("batch.edit")}</EditLink>
            )}
          </>
        )}
        <WhyRefused />
      </header>
      <DeedSaid said={said} />
      {query.error && <ProblemNotice error={query.error} onRetry={() => void query.refetch()} />}
      {query.isPending && <p className="notice dim">{t("loading")}</p>}
      {task && <Facts task={task} />}
      {task && (
        <section aria-labelledby="batch-runs">
          <h2 id="batch-runs">{t("batch.runs")}</h2>
          <RunList query={{ task: name }} isOfTask onRead={() => setRead((read) => Math.max(read, 1))} />
        </section>
      )}
      {task && read > 0 && <Dues task={name} onRead={() => setRead((read) => Math.max(read, 2))} />}
      {task && read > 1 && <Versions task={task} act={act} onRead={() => setRead(3)} />}
      {/* Last, because its agent is queried, which takes a while. */}
      {task && read > 2 && <Publications task={task} />}
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
          <p className="dim">{t(isPaused(task) ? "batch.paused" : "batch.not-by-time")}</p>
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

function Versions({ task, act, onRead }: { task: BatchTask; act: (deed: () => Promise<void>) => void; onRead: () => void }) {
  const query = useQuery({ queryKey: ["batch-versions", task.name, task.version], queryFn: ({ signal }) => fetchBatchVersions(task.name, signal) });
  useRead(query.isPending, onRead);
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
            </span>{" "}
            {task.agent === null && version.version !== task.version && version.definition && (
              <AdminButton className="outlined" onClick={() => act(() => saveBatchTask(task.name, version.definition, task.version).then(() => undefined))}>
                {t("batch.restore")}
              </AdminButton>
            )}
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
