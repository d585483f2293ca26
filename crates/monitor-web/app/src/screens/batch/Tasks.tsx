import { useInfiniteQuery } from "@tanstack/react-query";
import { endBatchRun, fetchBatchTasks, runBatchTask } from "../../api/batch.ts";
import { useAgain, useAgainAt } from "../../data/useAgain.ts";
import { t } from "../../i18n.ts";
import { visible } from "../../model/text.ts";
import { DeedSaid, useDeed } from "../../ui/Deed.tsx";
import { OperatorButton, WhyRefused } from "../../ui/OperatorButton.tsx";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { Agents } from "./Agents.tsx";
import { Outcomes } from "./Marks.tsx";
import { EditLink, Next, PauseButton, TaskLink, agentsOf, orderText, ownerOf } from "./parts.tsx";
import { useBatchSearch } from "./useBatchSearch.ts";

const LIMIT = 100;
/** Command that starts an agent, which reads its tasks from a folder. */
const START = "monitor agent --tasks tasks/";

const COLUMNS = ["task", "next", "outcomes", "owner", "agent", "state", "deeds"] as const;
const AGAIN_MS = 1000;

/** All tasks, with their next due times and the results of their runs. */
export function Tasks() {
  const { q, set } = useBatchSearch();
  const query = useInfiniteQuery({
    queryKey: ["batch-tasks", q],
    queryFn: ({ pageParam, signal }) => fetchBatchTasks({ limit: LIMIT, ...(q && { q }), ...(pageParam && { cursor: pageParam }) }, signal),
    initialPageParam: "",
    getNextPageParam: (page) => page.next_cursor,
    staleTime: 0,
  });
  const [said, act] = useDeed(() => void query.refetch());
  const tasks = query.data?.pages.flatMap((page) => page.tasks) ?? [];
  useAgain(["batch", "root"], query, AGAIN_MS);
  useAgainAt(tasks.flatMap(({ next_us, until_us }) => [next_us[0], until_us]), query);
  return (
    <>
      <search className="filters">
        <input type="search" value={q ?? ""} placeholder={t("batch.filter")} aria-label={t("batch.filter")} onChange={(event) => set({ q: event.target.value || undefined })} />
        <EditLink>{t("batch.new")}</EditLink>
        <WhyRefused />
      </search>
      <DeedSaid said={said} />
      <Agents />
      {query.error && <ProblemNotice error={query.error} onRetry={() => void query.refetch()} />}
      {tasks.length === 0 && !query.error && (
        <div className="notice dim">
          <p>{t(query.isPending ? "loading" : q ? "batch.none-so" : "batch.none")}</p>
          {!query.isPending && !q && <pre className="mono">{START}</pre>}
        </div>
      )}
      {tasks.length > 0 && (
        <table>
          <thead>
            <tr>
              {COLUMNS.map((column) => (
                <th key={column} scope="col" className={column}>
                  {t(`batch.column.${column}`)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {tasks.map((task) => (
              <tr key={task.name} data-task={task.name} data-status={task.status}>
                <th scope="row" className="task">
                  <TaskLink name={task.name} />
                  {task.failed_in_a_row > 1 && <span className="bad"> {t("batch.in-a-row", { count: task.failed_in_a_row })}</span>}
                </th>
                <td className="next">
                  <Next task={task} />
                </td>
                <td className="outcomes">
                  <Outcomes marks={task.runs} />
                </td>
                <td className="owner dim">{ownerOf(task)}</td>
                <td className="agent dim">{agentsOf(task)}</td>
                <td className="state">
                  <PauseButton task={task} act={act} />
                </td>
                <td className="deeds">
                  <OperatorButton className="outlined" aria-label={t("batch.run.of", { task: visible(task.name) })} onClick={() => act(() => runBatchTask(task.name).then(orderText))}>
                    {t("batch.run")}
                  </OperatorButton>{" "}
                  {task.runs.some(({ outcome }) => outcome === "running") && (
                    <OperatorButton className="outlined" aria-label={t("batch.end.of", { task: visible(task.name) })} onClick={() => act(() => endBatchRun(task.name).then(orderText))}>
                      {t("batch.end")}
                    </OperatorButton>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {query.hasNextPage && (
        <p className="more">
          <button type="button" className="outlined" onClick={() => void query.fetchNextPage()}>
            {t("batch.more")}
          </button>
        </p>
      )}
    </>
  );
}
