import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type BatchRunsQuery, endBatchRun, fetchBatchRuns } from "../../api/batch.ts";
import type { BatchRun } from "../../api/types.ts";
import { useAgain } from "../../data/useAgain.ts";
import { t, wordText } from "../../i18n.ts";
import { visible } from "../../model/text.ts";
import { Button } from "../../ui/Button.tsx";
import { DataList } from "../../ui/DataList.tsx";
import { DeedSaid, useDeed } from "../../ui/Deed.tsx";
import { Input } from "../../ui/Input.tsx";
import { OperatorButton } from "../../ui/OperatorButton.tsx";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { StateLabel, stateWord } from "../../ui/State.tsx";
import { Said } from "../../ui/Text.tsx";
import { Ago, At, Duration } from "../../ui/Time.tsx";
import { BatchHead } from "./BatchHead.tsx";
import { TaskLink, orderText, resultOf, timesOf } from "./parts.tsx";
import { clockUs, useBatchSearch } from "./useBatchSearch.ts";

const LIMIT = 100;
const OUTCOMES = ["running", "succeeded", "failed", "cancelled", "lost"];

/** Runs of all tasks by time, filtered by task, time, exit code, outcome and agent. */
export function Runs() {
  const { task, outcome, exit, agent, from, to, set } = useBatchSearch();
  const field = (key: "task" | "exit" | "agent", value: string | undefined) => (
    <Input value={value ?? ""} placeholder={t(`batch.filter.${key}`)} aria-label={t(`batch.filter.${key}`)} className={key} onChange={(event) => set({ [key]: event.target.value || undefined })} />
  );
  const time = (key: "from" | "to", value: string | undefined) => (
    <label>
      <span className="dim">{t(`batch.filter.${key}`)}</span> <Input type="datetime-local" value={value && !value.includes("T") ? `${value}T00:00` : (value ?? "")} onChange={(event) => set({ [key]: event.target.value || undefined })} />
    </label>
  );
  return (
    <>
      <BatchHead />
      <search className="filters">
        {field("task", task)}
        <select value={outcome ?? ""} aria-label={t("batch.filter.outcome")} onChange={(event) => set({ outcome: event.target.value || undefined })}>
          <option value="">{t("batch.filter.any")}</option>
          {OUTCOMES.map((state) => (
            <option key={state} value={state}>
              {stateWord(state)}
            </option>
          ))}
        </select>
        {field("exit", exit)}
        {field("agent", agent)}
        {time("from", from)}
        {time("to", to)}
      </search>
      <div className="body">
        <RunList query={{ task, outcome, exit, agent, from, to }} />
      </div>
    </>
  );
}

type Wanted = Partial<Record<"task" | "outcome" | "exit" | "agent" | "from" | "to", string | undefined>>;

function queryOf({ task, outcome, exit, agent, from, to }: Wanted): BatchRunsQuery {
  const code = /^-?\d{1,9}$/.test(exit ?? "") ? Number(exit) : undefined;
  // If a day is the upper bound, all of the day is included; a time is exact.
  const [fromUs, toUs] = [clockUs(from), clockUs(to, to?.includes("T") ? 0 : 1)];
  return { limit: LIMIT, ...(task && { task }), ...(outcome && { outcome }), ...(code !== undefined && { exit_code: code }), ...(agent && { agent }), ...(fromUs && { from: fromUs }), ...(toUs && { to: toUs }) };
}

/** A list of runs. Each links to its tree while the tree is stored. */
export function RunList({ query: wanted, isOfTask = false }: { query: Wanted; isOfTask?: boolean }) {
  const query = useInfiniteQuery({
    queryKey: ["batch-runs", wanted],
    queryFn: ({ pageParam, signal }) => fetchBatchRuns({ ...queryOf(wanted), ...(pageParam && { cursor: pageParam }) }, signal),
    initialPageParam: "",
    getNextPageParam: (page) => page.next_cursor,
    staleTime: 0,
  });
  useAgain(["batch", "root"], query, 1000);
  const [said, act] = useDeed(() => void query.refetch());
  const runs = query.data?.pages.flatMap((page) => page.runs) ?? [];
  if (query.error) return <ProblemNotice error={query.error} onRetry={() => void query.refetch()} />;
  if (runs.length === 0) return <p className="notice dim">{t(query.isPending ? "loading" : "batch.no-runs")}</p>;
  const columns = ["run", "due", "started", "took", "log", "agent", "trigger", "why"] as const;
  return (
    <>
      <DeedSaid said={said} />
      <DataList columns={columns.map((key) => (key === "log" ? { key: "output", text: t("batch.log") } : { key, text: t(`batch.column.${key}`) }))}>
        {runs.map((run) => (
          <Row key={run.run} run={run} isOfTask={isOfTask} onEnd={() => act(() => endBatchRun(run.task, run.run).then(orderText))} />
        ))}
      </DataList>
      {query.hasNextPage && (
        <p className="more">
          <Button className="outlined" onClick={() => void query.fetchNextPage()}>
            {t("batch.more")}
          </Button>
        </p>
      )}
    </>
  );
}

function Row({ run, isOfTask, onEnd }: { run: BatchRun; isOfTask: boolean; onEnd: () => void }) {
  const why = [...resultOf(run), ...(run.error === null ? [] : [run.error])];
  return (
    <tr data-run={run.run} data-state={run.outcome} data-quiet={run.outcome === "succeeded" || undefined}>
      <th scope="row" className="run">
        <Link to="/tasks/$root" params={{ root: run.root_id }} className="link" title={visible(run.run)}>
          <StateLabel state={run.outcome} />
        </Link>{" "}
        {!isOfTask && <TaskLink name={run.task} />}
      </th>
      <td className="due">
        <At timeUs={run.due_us} />
      </td>
      <td className="started dim">
        <Ago timeUs={run.started_us} />
      </td>
      <td className="took">
        <Duration process={timesOf(run)} />
      </td>
      <td className="output">
        <Link to="." search={(before: object) => ({ ...before, run: run.run })} className="link" aria-label={t("batch.log.of", { run: visible(run.run) })}>
          {t("batch.log")}
        </Link>
      </td>
      <td className="agent dim">{visible(run.agent ?? "")}</td>
      <td className="trigger dim">
        {wordText("batch.trigger", run.trigger)} {run.by === null ? "" : visible(run.by)}
      </td>
      <td className="why">
        {run.outcome === "running" && run.trigger !== "ping" ? (
          <OperatorButton className="outlined" onClick={onEnd}>
            {t("batch.end")}
          </OperatorButton>
        ) : (
          <Said text={why.join(" · ")} />
        )}
      </td>
    </tr>
  );
}
