import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { useEffect, useState, useSyncExternalStore } from "react";
import { ApiError, fetchProcesses, fetchWorker } from "../../api/client.ts";
import { askWorker, fetchChannel, fetchCommands } from "../../api/commands.ts";
import { fetchQueueTasks } from "../../api/queue.ts";
import type { Worker as WorkerModel } from "../../api/types.ts";
import { liveStore } from "../../data/live.ts";
import { useAgain } from "../../data/useAgain.ts";
import { liveWorkers } from "../../data/workers/live.ts";
import { t, wordText } from "../../i18n.ts";
import { offeredBy } from "../../model/orders.ts";
import { visible } from "../../model/text.ts";
import { readStats } from "../../model/worker-stats.ts";
import { markOf } from "../../model/workers.ts";
import { Button } from "../../ui/Button.tsx";
import { ItemHead } from "../../ui/Head.tsx";
import { Menu } from "../../ui/Menu.tsx";
import { OperatorButton, WhyRefused } from "../../ui/OperatorButton.tsx";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { StateMark } from "../../ui/StateMark.tsx";
import { Name } from "../../ui/Text.tsx";
import { Commands, MOST_COMMANDS } from "./Commands.tsx";
import { Events } from "./Events.tsx";
import { Facts } from "./Facts.tsx";
import { Figures } from "./Figures.tsx";
import { OrderDialog } from "./OrderDialog.tsx";
import { Parts } from "./Parts.tsx";
import { Registered } from "./Registered.tsx";
import { MOST_TASKS, Tasks } from "./Tasks.tsx";
import { MOST_WORK, Work } from "./Work.tsx";
import "../../ui/pane.css";
import "../../ui/states.css";
import "./worker.css";

const STATS_MS = 2000;
/** Interval for reading the commands, because no event reports them. */
const ORDERS_MS = 3000;
/** Minimum time between two readings of the counts of events, which are read again after changes. */
const COUNTS_MS = 1000;

/** One worker: its identity, its work, and the commands that it supports. */
export default function WorkerPage() {
  const { id = "" } = useParams({ strict: false }) as { id?: string };
  return <OneWorker key={id} id={id} />;
}

function OneWorker({ id }: { id: string }) {
  const read = useQuery({ queryKey: ["worker", id], queryFn: () => fetchWorker(id), staleTime: 0 });
  useAgain(["worker", "root"], read, COUNTS_MS);
  const live = useSyncExternalStore(liveStore.subscribe, () => liveWorkers().get(id)?.model);
  const worker = live ?? read.data;
  const isOnline = worker?.state === "online";
  const channel = useQuery({ queryKey: ["channel", id, worker?.state], queryFn: ({ signal }) => fetchChannel(id, signal), enabled: worker !== undefined, staleTime: 0, placeholderData: (before) => before });
  const isOpen = isOnline && channel.data?.open_since_us != null;
  const stats = useQuery({ queryKey: ["worker-stats", id], queryFn: () => askWorker(id, "stats", {}, STATS_MS), enabled: isOpen, staleTime: 0, gcTime: 0, retry: false });
  const state = worker?.state === "lost" ? "lost" : "running";
  const work = useQuery({
    queryKey: ["work", id, state, worker?.running],
    queryFn: ({ signal }) => fetchProcesses({ worker: id, state, started_after: 0, limit: MOST_WORK }, signal),
    enabled: worker !== undefined,
    placeholderData: (before) => before,
  });
  const tasks = useQuery({ queryKey: ["worker-tasks", id], queryFn: ({ signal }) => fetchQueueTasks({ worker: id, limit: MOST_TASKS }, signal), staleTime: 0 });
  useAgain(["root"], tasks, COUNTS_MS);
  const [withQuestions, setWithQuestions] = useState(false);
  const commands = useQuery({
    queryKey: ["worker-commands", id, withQuestions],
    queryFn: ({ signal }) => fetchCommands(id, withQuestions, MOST_COMMANDS, signal),
    refetchInterval: ORDERS_MS,
    staleTime: 0,
    placeholderData: (before) => before,
  });
  const [asking, setAsking] = useState<string>();

  useEffect(() => {
    if (worker) document.title = `${visible(worker.program)}@${visible(worker.hostname)} · ${t("workers.title")}`;
  }, [worker?.program, worker?.hostname]);

  if (!worker) {
    if (read.error instanceof ApiError && [400, 404].includes(read.error.status)) return <Unknown id={id} />;
    if (read.error) return <ProblemNotice error={read.error} onRetry={() => void read.refetch()} />;
    return <p className="notice dim">{t("loading")}</p>;
  }
  const line = stats.data?.lines?.[0];
  const told = readStats(line?.value);
  // Everything appears at once, so that nothing moves while it is read.
  const isRead = !channel.isPending && !work.isPending && !tasks.isPending && !commands.isPending && !read.isPending && (!isOpen || !stats.isPending);
  return (
    <div className="pane one-worker">
      <Title worker={worker} offered={isOpen ? offeredBy(channel.data?.methods ?? []) : undefined} onAsk={setAsking} />
      <div className="body">
        {channel.error && <ProblemNotice error={channel.error} onRetry={() => void channel.refetch()} />}
        {isRead ? (
          <>
            <div className="facts">
              <Facts worker={worker} channel={channel.data} isOpen={isOpen} />
              {isOpen && <Figures stats={told} line={line} error={stats.error} isAsking={stats.isFetching} onAsk={() => void stats.refetch()} />}
              <Events events={read.data?.events ?? {}} />
            </div>
            <div className="facts lists">
              <Work worker={worker} page={work.data} error={work.error} onRetry={() => void work.refetch()} />
              <Tasks id={id} page={tasks.data} error={tasks.error} onRetry={() => void tasks.refetch()} />
            </div>
            {isOpen && <Parts id={id} parts={told.parts} methods={channel.data?.methods ?? []} />}
            <Commands page={commands.data} error={commands.error} withQuestions={withQuestions} onQuestions={() => setWithQuestions(!withQuestions)} onRetry={() => void commands.refetch()} />
            <Registered functions={read.data?.registered ?? []} />
          </>
        ) : (
          <p className="notice dim">{t("loading")}</p>
        )}
      </div>
      {asking !== undefined && (
        <OrderDialog
          key={asking}
          worker={worker}
          name={channel.data?.name ?? worker.program}
          method={asking}
          pool={told.pool}
          known={{ name: [...told.limits.map(({ name }) => name), ...(read.data?.registered ?? []).map(({ name }) => name)], queue: told.queues }}
          onClose={(hasChanged) => {
            setAsking(undefined);
            void commands.refetch();
            if (hasChanged) void Promise.all([stats.refetch(), channel.refetch()]);
          }}
        />
      )}
    </div>
  );
}

/** Its identity and a menu of commands; no menu without a channel. */
function Title({ worker, offered, onAsk }: { worker: WorkerModel; offered: ReturnType<typeof offeredBy> | undefined; onAsk: (method: string) => void }) {
  return (
    <ItemHead
      back={{ to: "/tasks/workers", label: t("worker.all") }}
      mark={
        <span className="state" data-state={markOf(worker)}>
          <StateMark state={markOf(worker)} /> {wordText("worker", worker.state)}
        </span>
      }
      title={<Name text={worker.program} />}
      facts={[
        <span translate="no">
          <Name text={worker.hostname} />
        </span>,
      ]}
    >
      <Link to="/tasks" search={{ worker: worker.id }} className="quiet">
        {t("worker.to-runs")}
      </Link>
      {offered && (
        <>
          <Menu label={t("worker.ask")}>
            {offered.reading.map((method) => (
              <Button key={method} data-choice onClick={() => onAsk(method)}>
                {t(`worker.method.${method}` as "worker.method.ping")}
              </Button>
            ))}
          </Menu>
          <Menu label={t("worker.control")}>
            {[...offered.changing, ...offered.own].map((method) => (
              <OperatorButton key={method} data-choice onClick={() => onAsk(method)}>
                {wordText("worker.method", method)}
              </OperatorButton>
            ))}
            {offered.changing.length + offered.own.length === 0 ? <span className="refused dim">{t("worker.control.none")}</span> : <WhyRefused />}
          </Menu>
        </>
      )}
    </ItemHead>
  );
}

function Unknown({ id }: { id: string }) {
  return (
    <div className="notice">
      <h2>{t("worker.gone", { worker: visible(id) })}</h2>
      <Link to="/tasks/workers" className="link">
        {t("worker.all")}
      </Link>
    </div>
  );
}
