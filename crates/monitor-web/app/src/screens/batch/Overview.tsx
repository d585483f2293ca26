import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { fetchAlerts } from "../../api/alerts.ts";
import { fetchBatchRuns } from "../../api/batch.ts";
import type { BatchRun, BatchTask } from "../../api/types.ts";
import { useAgain } from "../../data/useAgain.ts";
import { t, wordText } from "../../i18n.ts";
import { firstLines } from "../../model/batch-log.ts";
import { visible, visibleLines } from "../../model/text.ts";
import { Facts } from "../../ui/Facts.tsx";
import { Reason } from "../../ui/Reason.tsx";
import { StateGlyph } from "../../ui/State.tsx";
import { Said } from "../../ui/Text.tsx";
import { Ago, At, Duration } from "../../ui/Time.tsx";
import { Durations } from "./Durations.tsx";
import { pauseWords } from "./LastRun.tsx";
import { agentsOf, isPaused, ownerOf, resultOf, timesOf } from "./parts.tsx";
import { placeOf } from "./scheduleWords.ts";
import { useErrorText } from "./useErrorText.ts";

const AGAIN_MS = 1000;
/** Runs in the chart. */
const RUNS = 30;
/** Last lines of a failed run that are shown. */
const TAIL_LINES = 12;

/** The last run of a task, how long its runs took, when it is due next, and its facts. */
export function Overview({ task }: { task: BatchTask }) {
  const runs = useQuery({ queryKey: ["batch-runs-of", task.name], queryFn: ({ signal }) => fetchBatchRuns({ task: task.name, limit: RUNS }, signal), staleTime: 0 });
  useAgain(["batch", "root"], runs, AGAIN_MS);
  const alerts = useQuery({ queryKey: ["alerts-of", task.name], queryFn: ({ signal }) => fetchAlerts({ state: "firing", subject: `task:${task.name}`, limit: 5 }, signal), staleTime: 0 });
  useAgain(["alerts"], alerts, AGAIN_MS);
  // Everything appears at once, so that nothing moves.
  if (runs.isPending || alerts.isPending) return <p className="notice dim">{t("loading")}</p>;
  const all = runs.data?.runs ?? [];
  return (
    <div className="two">
      <div className="main">
        <LastRun task={task} />
        {all.length > 1 && <Durations runs={all} />}
      </div>
      <div className="side">
        <section aria-labelledby="batch-next">
          <h2 id="batch-next">{t("batch.next")}</h2>
          <NextList task={task} />
        </section>
        <section aria-labelledby="batch-facts">
          <h2 id="batch-facts">{t("batch.facts")}</h2>
          <Facts of={factsOf(task)} />
        </section>
        {(alerts.data?.alerts.length ?? 0) > 0 && (
          <section aria-labelledby="batch-alerts">
            <h2 id="batch-alerts">{t("alerts.title")}</h2>
            {alerts.data?.alerts.map((alert) => (
              <p key={alert.id}>
                <StateGlyph state="failed" />{" "}
                <Link to="/tasks/alerts" search={{ alert: alert.id }} className="link">
                  {t("batch.alert-since")} <Ago timeUs={alert.since_us} />
                </Link>
              </p>
            ))}
          </section>
        )}
      </div>
    </div>
  );
}

function LastRun({ task }: { task: BatchTask }) {
  const run = task.last_run;
  if (run == null) return <p className="notice dim">{t("batch.no-runs")}</p>;
  return (
    <section aria-labelledby="batch-last" data-state={run.outcome}>
      <h2 id="batch-last">
        {t("batch.column.last")}{" "}
        <span className="dim">
          <StateGlyph state={run.outcome} /> <At timeUs={run.started_us ?? run.due_us} /> · <Duration process={timesOf(run)} />
          {resultOf(run).map((word) => ` · ${word}`)}
        </span>
      </h2>
      {(run.outcome === "failed" || run.outcome === "lost") && <Failure task={task} run={run} />}
      <p className="ways">
        <Link to="/tasks/$root" params={{ root: run.root_id }} className="link">
          {t("batch.open-run")}
        </Link>
        <Link to="." search={(before: object) => ({ ...before, run: run.run })} className="link">
          {t("batch.log")}
        </Link>
        {run.outcome === "failed" && (
          <Link to="/tasks/$root" params={{ root: run.root_id }} search={{ tab: "compare" }} className="link">
            {t("batch.compare")}
          </Link>
        )}
      </p>
    </section>
  );
}

/** The reason of a failed run, and its last lines. */
function Failure({ task, run }: { task: BatchTask; run: BatchRun }) {
  const tail = firstLines(useErrorText(run), TAIL_LINES).text;
  const [first = wordText("state", run.outcome), ...rest] = [...(run.error === null ? [] : [run.error]), ...resultOf(run)];
  const context = [...rest, ...(task.failed_in_a_row > 1 ? [t("batch.in-a-row", { count: task.failed_in_a_row })] : [])];
  return (
    <>
      <Reason text={<Said text={first} lines />} state={run.outcome}>
        {context.length > 0 && <p className="dim">{context.join(" · ")}</p>}
      </Reason>
      {tail.trim() !== "" && tail.trim() !== first.trim() && (
        <pre className="output-box mono" tabIndex={0} translate="no">
          {visibleLines(tail)}
        </pre>
      )}
    </>
  );
}

function NextList({ task }: { task: BatchTask }) {
  if (task.next_us.length === 0) return <p className="dim">{isPaused(task) ? pauseWords(task) : t("batch.not-by-time")}</p>;
  return (
    <ol className="next">
      {task.next_us.map((due) => (
        <li key={due}>
          <At timeUs={due} />{" "}
          <span className="dim">
            <Ago timeUs={due} />
          </span>
        </li>
      ))}
    </ol>
  );
}

/** The keys of a definition that are worth a glance. The others are in the definition. */
function factsOf(task: BatchTask): [string, ReactNode][] {
  const { definition } = task;
  const text = (key: string) => {
    const value = definition[key];
    return value === undefined ? "" : visible(typeof value === "string" ? value : JSON.stringify(value));
  };
  const command = definition["shell"] ?? definition["command"];
  const tags = definition["tags"];
  return [
    [t("batch.column.state"), `${task.status === "paused" ? pauseWords(task) : wordText("batch.status", task.status)} · ${t("batch.version", { version: task.version })}`],
    [t("batch.column.owner"), ownerOf(task)],
    [t("batch.column.agent"), agentsOf(task)],
    [t("batch.field.file"), task.agent === null ? "" : visible(task.who ?? "")],
    [t("batch.field.command"), command === undefined ? "" : <code className="mono">{visible(Array.isArray(command) ? command.join(" ") : String(command))}</code>],
    [t("batch.field.zone"), typeof definition["zone"] === "string" ? <span title={text("zone")}>{placeOf(definition["zone"])}</span> : ""],
    [t("batch.field.timeout"), text("timeout")],
    [t("batch.field.overlap"), text("overlap")],
    [t("batch.field.missed"), text("missed")],
    [t("batch.field.retry"), text("retry")],
    [
      t("batch.field.tags"),
      Array.isArray(tags) && tags.length > 0 ? (
        <span translate="no">
          {tags.map((tag) => (
            <span key={String(tag)} className="chip">
              {visible(String(tag))}
            </span>
          ))}
        </span>
      ) : (
        ""
      ),
    ],
  ];
}
