import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useEffect, useRef } from "react";
import { endBatchRun, fetchBatchRuns, rerunBatchRun } from "../../api/batch.ts";
import type { BatchRun } from "../../api/types.ts";
import { useAgain } from "../../data/useAgain.ts";
import { t, wordText } from "../../i18n.ts";
import { firstLines, readRunId } from "../../model/batch-log.ts";
import { visible, visibleLines } from "../../model/text.ts";
import { Button } from "../../ui/Button.tsx";
import { DeedSaid, useDeed } from "../../ui/Deed.tsx";
import { Icon, ICONS } from "../../ui/Icon.tsx";
import { OperatorButton } from "../../ui/OperatorButton.tsx";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { StateLabel } from "../../ui/State.tsx";
import { At, Duration } from "../../ui/Time.tsx";
import { RunLog } from "./RunLog.tsx";
import { TaskLink, orderText, resultOf, timesOf } from "./parts.tsx";
import { useErrorText } from "./useErrorText.ts";

/** Number of lines shown of an error; the log contains all. */
const ERROR_LINES = 6;

/** One run: its result, the first lines of its error, and its log. */
export function RunPanel({ run: id, onClose }: { run: string; onClose: () => void }) {
  const read = readRunId(id);
  const query = useQuery({
    queryKey: ["batch-run", id],
    queryFn: async ({ signal }) => {
      const when = read?.dueUs === undefined ? {} : { from: read.dueUs, to: read.dueUs + 1_000_000 };
      const page = read && (await fetchBatchRuns({ task: read.task, ...when, limit: 1000 }, signal));
      return page?.runs.find(({ run }) => run === id) ?? null;
    },
    staleTime: 0,
  });
  useAgain(["root"], query, 1000);
  const panel = useRef<HTMLElement>(null);
  // The focus moves into the panel; Esc moves it back.
  useEffect(() => {
    const before = document.activeElement;
    panel.current?.focus({ preventScroll: true });
    return () => {
      if (before instanceof HTMLElement && before.isConnected) before.focus({ preventScroll: true });
    };
  }, [id]);
  const close = useRef(onClose);
  close.current = onClose;
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      // In a search field, Esc first clears the text.
      const isWritten = event.target instanceof HTMLInputElement && event.target.value !== "";
      if (event.key === "Escape" && !event.defaultPrevented && !isWritten) close.current();
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, []);
  return (
    <aside ref={panel} className="run-panel" aria-label={visible(id)} tabIndex={-1}>
      <header>
        <h2 className="mono">{visible(id)}</h2>
        <Button aria-label={t("batch.close")} title={t("batch.close")} onClick={onClose}>
          <Icon d={ICONS.close} />
        </Button>
      </header>
      {query.error && <ProblemNotice error={query.error} onRetry={() => void query.refetch()} />}
      {query.data && <Facts run={query.data} onDone={() => void query.refetch()} />}
      {!query.isPending && !query.error && <RunLog run={id} agent={query.data?.agent ?? null} isKnown={query.data != null} />}
    </aside>
  );
}

function Facts({ run, onDone }: { run: BatchRun; onDone: () => void }) {
  const [said, act] = useDeed(onDone);
  const error = firstLines(useErrorText(run), ERROR_LINES);
  const isOpen = run.ended_us === null && (run.outcome === "running" || run.outcome === "pending");
  const facts: [string, React.ReactNode][] = [
    [t("batch.column.task"), <TaskLink name={run.task} />],
    [t("batch.column.due"), <At timeUs={run.due_us} />],
    [t("batch.column.started"), run.started_us === null ? "–" : <At timeUs={run.started_us} />],
    [t("batch.column.took"), <Duration process={timesOf(run)} />],
    [t("batch.column.trigger"), `${wordText("batch.trigger", run.trigger)} ${visible(run.by ?? "")}`],
    [t("batch.column.agent"), visible(run.agent ?? "–")],
  ];
  return (
    <>
      <p className="state-line">
        <StateLabel state={run.outcome} />
        <span className="dim"> {resultOf(run).join(" · ")}</span>
        <Link to="/tasks/$root" params={{ root: run.root_id }} className="outlined">
          {t("batch.tree")}
        </Link>
        {/* Jobs of heartbeats are started and ended elsewhere. */}
        {run.trigger !== "ping" && (
          <OperatorButton className="outlined" onClick={() => act(() => (isOpen ? endBatchRun(run.task, run.run) : rerunBatchRun(run.run)).then(orderText))}>
            {t(isOpen ? "batch.end" : "batch.again")}
          </OperatorButton>
        )}
      </p>
      <DeedSaid said={said} />
      {error.text !== "" && (
        <pre className="mono bad error-lines">
          {visibleLines(error.text)}
          {error.more > 0 && <span className="dim">{`\n${t("batch.log.more-lines", { count: error.more })}`}</span>}
        </pre>
      )}
      <dl>
        {facts.map(([label, value]) => (
          <div key={label}>
            <dt>{label}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </>
  );
}
