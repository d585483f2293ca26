import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { memo, useCallback, useEffect } from "react";
import { endBatchRun, fetchBatchTasks, pauseBatchTask, runBatchTask } from "../../api/batch.ts";
import type { BatchTask } from "../../api/types.ts";
import { useAgain, useAgainAt } from "../../data/useAgain.ts";
import { useMay } from "../../data/useMe.ts";
import { t } from "../../i18n.ts";
import { TASK_TABS, isRunning, matchesTask, tabsOf, taskState } from "../../model/batch-tasks.ts";
import { visible } from "../../model/text.ts";
import { DataList } from "../../ui/DataList.tsx";
import { DeedSaid, useDeed } from "../../ui/Deed.tsx";
import { Empty } from "../../ui/Empty.tsx";
import { FilterField } from "../../ui/FilterField.tsx";
import { Icon, ICONS } from "../../ui/Icon.tsx";
import { Menu } from "../../ui/Menu.tsx";
import { OperatorButton, WhyRefused } from "../../ui/OperatorButton.tsx";
import { Outcomes } from "../../ui/Outcomes.tsx";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { StateGlyph } from "../../ui/State.tsx";
import { StateTabs } from "../../ui/Tabs.tsx";
import { useParts } from "../../ui/useParts.ts";
import { Agents } from "./Agents.tsx";
import { Attention } from "./Attention.tsx";
import { BatchHead } from "./BatchHead.tsx";
import { LastRun } from "./LastRun.tsx";
import { EditLink, Next, TaskLink, agentsOf, orderText, ownerOf } from "./parts.tsx";
import { rulesOf, scheduleWords } from "./scheduleWords.ts";
import { useBatchSearch } from "./useBatchSearch.ts";

/** Tasks of one request. All tasks are read, because tabs and filter are about all of them. */
const LIMIT = 200;
/** Maximum number of tasks that are listed. */
const MOST = 5_000;
/** Command that adds a first task. */
const ADD = "monitor task add --name hello --rule '*/5 * * * *' -- echo hi";

const COLUMNS = ["sign", "task", "schedule", "next", "last", "outcomes", "owner", "agent"] as const;
const AGAIN_MS = 1000;

/** All tasks, with their state, schedule, next due time and last run. */
export function Tasks() {
  const { q, state, set } = useBatchSearch();
  const { query, tasks } = useTasks();
  const [said, act] = useDeed(() => void query.refetch());
  // The head has its height once the reader's role is known: nothing moves after that.
  const may = useMay("operate");
  const isPending = query.isPending || may === undefined;
  const filter = useCallback((text: string | undefined) => set({ q: text }), [set]);
  const found = q === undefined ? tasks : tasks.filter((task) => matchesTask(task, q));
  const shown = state === undefined ? found : found.filter((task) => tabsOf(task).some((tab) => tab === state));
  const { most, end } = useParts(shown.length);
  const tabs = TASK_TABS.map((key) => ({ key, text: t(`batch.tab.${key}`), count: found.filter((task) => tabsOf(task).includes(key)).length, isBad: key === "failing" || key === "missed" }));
  return (
    <>
      <BatchHead states={<StateTabs tabs={tabs} all={{ text: t("tasks.all"), count: query.isPending ? undefined : found.length }} chosen={state} onChoose={(key) => set({ state: key })} />}>
        <WhyRefused />
        <FilterField value={q} label={t("batch.filter")} onChange={filter} />
        <EditLink className="primary">{t("batch.new")}</EditLink>
      </BatchHead>
      <div className="body">
        <DeedSaid said={said} />
        <Agents />
        {query.error && <ProblemNotice error={query.error} onRetry={() => void query.refetch()} />}
        {isPending && !query.error && <p className="notice dim">{t("loading")}</p>}
        {!isPending && query.data && shown.length === 0 && (tasks.length > 0 ? <p className="notice dim">{t("batch.none-so")}</p> : <Empty title={t("batch.none")} how={t("batch.none.how")} command={ADD} />)}
        {!isPending && <Attention tasks={shown} />}
        {!isPending && shown.length > 0 && (
          <DataList columns={[...COLUMNS, "deeds" as const].map((key) => (key === "sign" ? { key, text: t("batch.column.state"), isMute: true } : { key, text: t(`batch.column.${key}`), isMute: key === "deeds" }))}>
            {shown.slice(0, most).map((task) => (
              <Row key={task.name} task={task} act={act} />
            ))}
          </DataList>
        )}
        {shown.length > most && (
          <p ref={end} className="more dim">
            {t("tasks.more")}
          </p>
        )}
        {tasks.length >= MOST && <p className="more dim">{t("batch.most", { count: MOST })}</p>}
      </div>
    </>
  );
}

/** Reads all tasks, one page after the other. */
function useTasks() {
  const query = useInfiniteQuery({
    queryKey: ["batch-tasks"],
    queryFn: ({ pageParam, signal }) => fetchBatchTasks({ limit: LIMIT, ...(pageParam && { cursor: pageParam }) }, signal),
    initialPageParam: "",
    getNextPageParam: (page, pages) => (pages.length * LIMIT < MOST ? page.next_cursor : undefined),
    staleTime: 0,
  });
  const { hasNextPage, isFetching, fetchNextPage } = query;
  const tasks = query.data?.pages.flatMap((page) => page.tasks) ?? [];
  useEffect(() => {
    if (hasNextPage && !isFetching) void fetchNextPage();
  }, [hasNextPage, isFetching, fetchNextPage]);
  useAgain(["batch", "root"], query, AGAIN_MS);
  useAgainAt(tasks.flatMap(({ next_us, until_us }) => [next_us[0], until_us]), query);
  return { query, tasks };
}

const Row = memo(function Row({ task, act }: { task: BatchTask; act: (deed: () => Promise<string | void>) => void }) {
  const state = taskState(task);
  const isQuiet = ["succeeded", "paused", "pending", "cancelled"].includes(state);
  return (
    <tr data-task={task.name} data-status={task.status} data-state={state} data-quiet={isQuiet || undefined}>
      <td className="sign">
        <StateGlyph state={state} />
      </td>
      <th scope="row" className="task">
        <TaskLink name={task.name} />
      </th>
      <td className="schedule dim" title={rulesOf(task).map(visible).join("\n")}>
        {scheduleWords(task) || t("batch.not-by-time")}
      </td>
      <td className="next">
        <Next task={task} />
      </td>
      <td className="last">
        <LastRun task={task} />
      </td>
      <td className="outcomes">
        <Outcomes marks={task.runs} />
      </td>
      <td className="owner dim">{ownerOf(task)}</td>
      <td className="agent dim" title={task.agent === null ? undefined : t("batch.by-file.of", { file: visible(task.who ?? "") })}>
        {agentsOf(task)}
      </td>
      <td className="deeds">
        <Deeds task={task} act={act} />
      </td>
    </tr>
  );
});

/** The actions of a row: the most used one, and a menu with the others. */
function Deeds({ task, act }: { task: BatchTask; act: (deed: () => Promise<string | void>) => void }) {
  const isOff = task.status === "paused";
  const { name } = task;
  return (
    <span className="row-deeds">
      <OperatorButton className="outlined" aria-label={t("batch.run.of", { task: visible(name) })} onClick={() => act(() => runBatchTask(name).then(orderText))}>
        {t("batch.run")}
      </OperatorButton>
      {isRunning(task) && (
        <OperatorButton className="quiet" aria-label={t("batch.end.of", { task: visible(name) })} onClick={() => act(() => endBatchRun(name).then(orderText))}>
          {t("batch.end")}
        </OperatorButton>
      )}
      <Menu className="quiet" label={<><Icon d={ICONS.more} /> <span className="hidden">{t("batch.more.of", { task: visible(name) })}</span></>}>
        {task.agent === null ? (
          <>
            <OperatorButton data-choice onClick={() => act(() => pauseBatchTask(name, !isOff).then(() => undefined))}>
              {t(isOff ? "batch.resume" : "batch.pause")}
            </OperatorButton>
            <EditLink task={name} className="choice">
              {t("batch.edit")}
            </EditLink>
          </>
        ) : (
          <span className="refused dim">{t("batch.by-file.of", { file: visible(task.who ?? "") })}</span>
        )}
        <Link to="/tasks/batch" search={{ tab: "runs", task: name }} className="choice">
          {t("batch.runs")}
        </Link>
        <Link to="/tasks/batch" search={{ tab: "day", q: name }} className="choice">
          {t("batch.day")}
        </Link>
        <WhyRefused />
      </Menu>
    </span>
  );
}
