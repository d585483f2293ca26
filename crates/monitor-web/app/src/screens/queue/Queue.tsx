import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useRef, useState } from "react";
import { fetchQueueTasks, fetchQueues } from "../../api/queue.ts";
import type { Queues } from "../../api/types.ts";
import { useAgain } from "../../data/useAgain.ts";
import { t } from "../../i18n.ts";
import { visible } from "../../model/text.ts";
import { Button } from "../../ui/Button.tsx";
import { Head } from "../../ui/Head.tsx";
import { Input } from "../../ui/Input.tsx";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { stateWord } from "../../ui/State.tsx";
import { StateTabs } from "../../ui/Tabs.tsx";
import { useSlash } from "../../ui/useSlash.ts";
import { ChosenBar } from "./ChosenBar.tsx";
import { Clusters } from "./Clusters.tsx";
import { TaskTable } from "./TaskTable.tsx";
import { type QueueSearch, useQueueSearch } from "./useQueueSearch.ts";
import { LIMIT, restOf, useSearchOn } from "./useSearchOn.ts";
import { keyOf, useStanding } from "./useStanding.ts";
import "../../ui/pane.css";
import "./queue.css";

const AGAIN_MS = 1000;
/** No event reports the number of tasks that wait in a broker. */
const DEPTHS_MS = 3000;
const SETTLED_MS = 400;
/** The states that need attention are first. */
const STATES = ["failed", "lost", "running", "pending", "succeeded", "cancelled"] as const;

/** The queue screen: number of tasks by state, and a list with queue, worker and error. */
export default function Queue() {
  const search = useQueueSearch();
  const { state, queue, q, sort } = search;
  const query = useInfiniteQuery({
    queryKey: ["queue-tasks", state, queue, q, sort],
    queryFn: ({ pageParam, signal }) =>
      fetchQueueTasks({ limit: LIMIT, ...(state && { state }), ...(queue && { queue }), ...(q && { q }), ...(sort && { sort }), ...(pageParam && { cursor: pageParam }) }, signal),
    initialPageParam: "",
    getNextPageParam: (page) => page.next_cursor,
    staleTime: 0,
  });
  const queues = useQuery({ queryKey: ["queues"], queryFn: ({ signal }) => fetchQueues(signal), refetchInterval: DEPTHS_MS, staleTime: 0 });
  useAgain(["root"], query, restOf(query.data, AGAIN_MS));
  useAgain(["root"], queues, AGAIN_MS);
  const list = `${state} ${queue} ${q} ${sort}`;
  const { examined, isSearching, stop, more } = useSearchOn(list, query);
  const standing = useStanding(list, query.data?.pages.flatMap((page) => page.tasks));
  const [keys, choose, clear] = useChosen(list);
  const chosen = standing.tasks.map(({ task }) => task).filter((task) => keys.has(keyOf(task)));
  // The numbers determine the height of the bar. The content below appears together with them and then stays.
  const hasBar = useRef(false);
  hasBar.current ||= !queues.isPending;
  const isPending = query.isPending || !hasBar.current;
  useEffect(() => {
    document.title = `${t("queue.title")} · ${t("app.name")}`;
  }, []);

  return (
    <div className="pane queue">
      <Filters search={search} queues={queues.data} />
      <div className="body">
        {query.error && <ProblemNotice error={query.error} onRetry={() => void query.refetch()} />}
        <div className="waiting">
          <span aria-live="polite">
            {standing.waiting > 0 && (
              <Button className="outlined" onClick={standing.show}>
                {t("queue.new", { count: standing.waiting })}
              </Button>
            )}
          </span>
          {chosen.length > 0 ? <ChosenBar chosen={chosen} onClear={clear} /> : <Clusters />}
        </div>
        {(standing.tasks.length === 0 || isPending) && !query.error && <p className="notice dim">{t(isPending ? "loading" : query.hasNextPage ? "queue.none-yet" : state || queue || q ? "queue.none-so" : "queue.none")}</p>}
        {standing.tasks.length > 0 && !isPending && <TaskTable tasks={standing.tasks} search={search} chosen={keys} onChoose={choose} />}
        {query.hasNextPage && (
          <p className="more">
            {examined !== undefined && <span className="dim">{t("queue.examined", { count: examined })} </span>}
            <Button className="outlined" onClick={isSearching ? stop : more}>
              {t(isSearching ? "queue.stop" : "batch.more")}
            </Button>
          </p>
        )}
      </div>
    </div>
  );
}

/** Returns the selected tasks of a list; another list starts without a selection. */
function useChosen(list: string): [keys: ReadonlySet<string>, choose: (keys: readonly string[], isChosen: boolean) => void, clear: () => void] {
  const [chosen, setChosen] = useState<{ list: string; keys: ReadonlySet<string> }>({ list, keys: new Set() });
  const keys = useMemo(() => (chosen.list === list ? chosen.keys : new Set<string>()), [chosen, list]);
  const choose = (changed: readonly string[], isChosen: boolean) => {
    const next = new Set(keys);
    for (const key of changed) if (isChosen) next.add(key); else next.delete(key);
    setChosen({ list, keys: next });
  };
  return [keys, choose, () => setChosen({ list, keys: new Set() })];
}

/** A button for each state, a selection of queues, and a search field. `/` focuses the field. */
function Filters({ search: { state, queue, q, set }, queues }: { search: QueueSearch; queues: Queues | undefined }) {
  const [text, setText] = useState(q ?? "");
  const field = useRef<HTMLInputElement>(null);
  useSlash(field);
  useEffect(() => {
    if (text === (q ?? "")) return;
    // An unfinished search has syntax errors.
    const timer = setTimeout(() => set({ q: text || undefined }), SETTLED_MS);
    return () => clearTimeout(timer);
  }, [text, q, set]);
  const of = countsOf(queues, queue);
  const total = Object.values(of).reduce((sum, each) => sum + each, 0);
  const names = queues?.queues.map(({ name }) => name).filter((name) => name !== "") ?? [];
  return (
    <Head title={t("queue.title")} tabs={<StateTabs tabs={STATES.map((key) => ({ key, text: stateWord(key), count: of[key] ?? 0, isBad: key === "failed" || key === "lost" }))} all={{ text: t("tasks.all"), count: queues ? total : undefined }} chosen={state} onChoose={(key) => set({ state: key })} />}>
      <select aria-label={t("queue.column.queue")} value={queue ?? ""} onChange={(event) => set({ queue: event.target.value || undefined })}>
        <option value="">{t("queue.any")}</option>
        {[...new Set([...names, ...(queue ? [queue] : [])])].map((name) => (
          <option key={name} value={name} translate="no">
            {visible(name)}
          </option>
        ))}
      </select>
      <Input ref={field} type="search" className="filter-field" value={text} placeholder={t("queue.search")} aria-label={t("queue.search")} title={t("queue.search.how")} onChange={(event) => setText(event.target.value)} />
    </Head>
  );
}

/** Returns the number of tasks by state, in a queue or in all. */
function countsOf(queues: Queues | undefined, queue: string | undefined): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const { name, states } of queues?.queues ?? []) {
    if (queue !== undefined && name !== queue) continue;
    for (const [state, of] of Object.entries(states)) sums[state] = (sums[state] ?? 0) + of;
  }
  return sums;
}
