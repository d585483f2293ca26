import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useSyncExternalStore } from "react";
import { fetchProcesses } from "../../api/client.ts";
import type { Process } from "../../api/types.ts";
import { liveStore } from "../../data/live.ts";
import { liveWorkers, workersVersion } from "../../data/workers/live.ts";
import { useAgain } from "../../data/useAgain.ts";
import { count, locale, t, wordText } from "../../i18n.ts";
import { type QueueDepth, queuesOf } from "../../model/queue-depths.ts";
import { visible } from "../../model/text.ts";
import { duration } from "../../model/time.ts";
import { useNow } from "../../ui/now.ts";
import { Sparkline } from "../../ui/Sparkline.tsx";
import { Ago } from "../../ui/Time.tsx";

const AGAIN_MS = 1000;
/** Program of the bridges. */
const BRIDGE = "monitor-celery";
const MOST_BRIDGES = 20;

/** The recorded clusters of Celery, with the state of the connection to each broker. */
export function Clusters() {
  useSyncExternalStore(liveStore.subscribe, workersVersion);
  const bridges = [...liveWorkers().values()]
    .map(({ model }) => model)
    .filter(({ program }) => program === BRIDGE)
    .sort((a, b) => b.last_seen_us - a.last_seen_us)
    .slice(0, MOST_BRIDGES)
    .map(({ id, state }) => ({ id, state }));
  const runs = useQuery({
    queryKey: ["clusters", bridges],
    queryFn: async ({ signal }) => (await Promise.all(bridges.map(({ id }) => fetchProcesses({ worker: id, kind: "root", limit: 100 }, signal)))).flatMap((page) => page.processes),
    enabled: bridges.length > 0,
    staleTime: 0,
    placeholderData: (before) => before,
  });
  useAgain(["root"], runs, AGAIN_MS);
  const clusters = newestOfEach(runs.data ?? []);
  if (clusters.length === 0) return null;
  return (
    <ul className="clusters" aria-label={t("queue.clusters")}>
      {clusters.map((run) => (
        <Cluster key={run.root_id} run={run} />
      ))}
    </ul>
  );
}

function newestOfEach(runs: readonly Process[]): Process[] {
  const newest = new Map<string, Process>();
  for (const run of [...runs].sort((a, b) => (b.started_us ?? 0) - (a.started_us ?? 0))) {
    const cluster = run.fields["celery.cluster"];
    if (typeof cluster === "string" && !newest.has(cluster)) newest.set(cluster, run);
  }
  return [...newest.values()].sort((a, b) => a.name.localeCompare(b.name));
}

function Cluster({ run }: { run: Process }) {
  const { "celery.cluster": name, "celery.broker": broker, "celery.state": told, "celery.since_us": since, "celery.gaps": gaps, "celery.unreadable": unreadable } = run.fields;
  const state = run.state === "running" ? String(told ?? "connecting") : "unrecorded";
  const sinceUs = state === "unrecorded" ? run.ended_us : since;
  return (
    <li data-cluster={String(name)} data-state={state}>
      <Link to="/tasks/$root" params={{ root: run.root_id }} className="link" translate="no">
        {visible(String(name))}
      </Link>{" "}
      <span className={state === "connected" ? "dim" : "bad"}>{wordText("queue.cluster", state)}</span>
      {typeof sinceUs === "number" && (
        <span className="dim">
          {" "}
          <Ago timeUs={sinceUs} />
        </span>
      )}{" "}
      {state === "connected" && queuesOf(run.fields).map((queue) => <Depth key={queue.name} queue={queue} />)}
      <span className="mono dim" translate="no">
        {visible(String(broker ?? ""))}
      </span>
      {typeof gaps === "number" && <span className="bad"> {t("queue.cluster.gaps", { count: gaps })}</span>}
      {typeof unreadable === "number" && <span className="bad"> {t("queue.cluster.unreadable", { count: unreadable })}</span>}
    </li>
  );
}

/** Waits of at least this time are shown beside the number of waiting tasks. */
const LONG_US = 60e6;

/** The waiting tasks of a queue, now and in the last hour. */
function Depth({ queue: { name, waiting, consumers, priorities, oldestUs, lastMinute, recent } }: { queue: QueueDepth }) {
  const nowUs = useNow("slow");
  const isUnread = waiting > 0 && consumers === 0;
  const ofEach = priorities.map(([priority, waits]) => t("queue.cluster.priority", { count: waits, priority }));
  if (lastMinute) ofEach.push(t("queue.cluster.minute", { sent: lastMinute.sent, ended: lastMinute.ended }));
  const isLong = oldestUs !== undefined && nowUs - oldestUs >= LONG_US;
  return (
    <span className="of-queue" data-queue={name}>
      {" "}
      <Link to="/tasks/queue" search={{ queue: name }} className="link" translate="no">
        {visible(name)}
      </Link>{" "}
      <span className={isUnread ? "bad" : waiting > 0 ? undefined : "dim"} title={ofEach.join(", ") || undefined}>
        {t("queue.cluster.waiting", { count: waiting })}
        {isUnread && ` ${t("queue.cluster.unread")}`}
        {isLong && `, ${t("queue.cluster.oldest", { duration: duration((nowUs - oldestUs) * 1e3, locale) })}`}
      </span>
      {recent.some((minute) => minute !== null && minute > 0) && <Sparkline values={recent} label={t("queue.cluster.recent")} text={count} />}
    </span>
  );
}
