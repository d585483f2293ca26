import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Fragment, memo, useEffect, useMemo, useState, useSyncExternalStore } from "react";
import { fetchWorkers } from "../../api/client.ts";
import type { Worker } from "../../api/types.ts";
import { liveStore } from "../../data/live.ts";
import { useAgain } from "../../data/useAgain.ts";
import { liveWorkers } from "../../data/workers/live.ts";
import { count, lostText, t, wordText } from "../../i18n.ts";
import { visible } from "../../model/text.ts";
import { groupWorkers, isPresent, markOf, matchesWorker, sharedDomain, sortWorkers, type WorkerGroup } from "../../model/workers.ts";
import { Beats } from "../../ui/Beats.tsx";
import { DataList } from "../../ui/DataList.tsx";
import { Empty } from "../../ui/Empty.tsx";
import { FilterField } from "../../ui/FilterField.tsx";
import { Head } from "../../ui/Head.tsx";
import { Heard } from "../../ui/Heard.tsx";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { StateMark } from "../../ui/StateMark.tsx";
import { StateTabs } from "../../ui/Tabs.tsx";
import { Name } from "../../ui/Text.tsx";
import { Ago } from "../../ui/Time.tsx";
import "../../ui/pane.css";
import "./workers.css";

const MOST = 1000;
/** The stream has no worker with the end of a task, so the list is read again after changes: after 1 s, and later the more workers there are. */
const AGAIN_MS = 1000;
const AGAIN_PER_WORKER_MS = 5;
const COLUMNS = ["state", "program", "host", "heard", "started", "running", "succeeded", "failed", "retried", "load", "dropped"] as const;
/** States that the list can be limited to. */
const STATES = ["lost", "online", "offline"] as const;
/** Command whose program is a worker for a minute. */
const START = "monitor run -- sleep 60";

const TASKS = ["succeeded", "failed", "retried"] as const;

/** The workers screen: online, ended and lost workers, with the number of lost processes. */
export default function Workers() {
  const query = useQuery({ queryKey: ["workers"], queryFn: ({ signal }) => fetchWorkers({ limit: MOST }, signal), staleTime: 0 });
  useAgain(["worker", "root"], query, AGAIN_MS + AGAIN_PER_WORKER_MS * (query.data?.workers.length ?? 0));
  const [state, setState] = useState<string>();
  const [wanted, setWanted] = useState<string>();
  const version = useSyncExternalStore(liveStore.subscribe, liveStore.get);
  const known = useMemo(() => {
    const all = new Map((query.data?.workers ?? []).map((worker) => [worker.id, { model: worker, asOf: query.data?.as_of ?? 0 }]));
    for (const [id, dated] of liveWorkers()) if (dated.asOf >= (all.get(id)?.asOf ?? 0)) all.set(id, dated);
    return sortWorkers([...all.values()].map(({ model }) => model));
  }, [query.data, version]);

  const found = known.filter((worker) => matchesWorker(worker, wanted ?? ""));
  const workers = found.filter((worker) => (state === undefined ? isPresent(worker) : worker.state === state));
  const tabs = STATES.map((key) => ({ key, text: wordText("worker", key), count: found.filter((worker) => worker.state === key).length, isBad: key === "lost", mark: markOf({ state: key }) }));
  const domain = sharedDomain(known.map(({ hostname }) => hostname));

  useEffect(() => {
    document.title = `${t("workers.title")} · ${t("app.name")}`;
  }, []);

  return (
    <div className="pane workers">
      <Head title={t("workers.title")} tabs={<StateTabs tabs={tabs} all={{ text: t("workers.present"), count: query.isPending ? undefined : found.filter(isPresent).length }} chosen={state} onChoose={setState} />}>
        <FilterField value={wanted} label={t("workers.filter")} onChange={setWanted} />
      </Head>
      <div className="body">
        {query.error && <ProblemNotice error={query.error} onRetry={() => void query.refetch()} />}
        {query.isPending && !query.error && <p className="notice dim">{t("loading")}</p>}
        {query.data && workers.length === 0 && (known.length > 0 ? <p className="notice dim">{t("workers.none-so")}</p> : <Empty title={t("workers.none")} command={START} />)}
        {query.data && workers.length > 0 && (
          <DataList columns={COLUMNS.map((key) => (key === "state" ? { key: "sign state", text: t("workers.column.state"), isMute: true } : { key, text: t(`workers.column.${key}`) }))}>
            {groupWorkers(workers).map((group) => (
              <Fragment key={`${group.program} ${group.hostname}`}>
                {group.workers.length > 1 && <GroupHead group={group} domain={domain} />}
                {group.workers.map((worker) => (
                  <Row key={worker.id} worker={worker} domain={domain} isOne={group.workers.length > 1} />
                ))}
              </Fragment>
            ))}
          </DataList>
        )}
        {query.data?.next_cursor && <p className="dim more">{t("workers.more", { count: MOST })}</p>}
      </div>
    </div>
  );
}

/** Common properties of a group of workers. */
function GroupHead({ group, domain }: { group: WorkerGroup; domain: string }) {
  return (
    <tr className="group">
      <th scope="rowgroup" colSpan={COLUMNS.length}>
        <Name text={group.program} /> · <Host hostname={group.hostname} domain={domain} />{" "}
        <span className="dim">{t("workers.group", { count: group.workers.length })}</span>
      </th>
    </tr>
  );
}

/** A host without what all of them are called. */
function Host({ hostname, domain }: { hostname: string; domain: string }) {
  const cut = domain === "" || !hostname.endsWith(domain) ? hostname : hostname.slice(0, -domain.length);
  return (
    <span translate="no" title={visible(hostname)}>
      <Name text={cut} />
    </span>
  );
}

interface LineProps {
  worker: Worker;
  domain: string;
  /** True if it is in a group whose header shows its program and host. */
  isOne: boolean;
}

const Row = memo(function Row({ worker, domain, isOne }: LineProps) {
  const dropped = worker.dropped.reduce((sum, { count: of }) => sum + of, 0);
  const why = worker.dropped.map((of) => `${lostText(of.type, of.count)}: ${wordText("missing.reason", of.reason)}`);
  return (
    <tr data-worker={worker.id} data-of={isOne ? "group" : undefined} data-state={markOf(worker)} data-quiet={worker.state === "offline" || (worker.state === "online" && worker.running === 0) || undefined}>
      <td className="sign state" title={wordText("worker", worker.state)}>
        <StateMark state={markOf(worker)} /> <span className="hidden">{wordText("worker", worker.state)}</span>
      </td>
      <th scope="row" className="program">
        <Link to="/tasks/workers/$id" params={{ id: worker.id }} className="link">
          <Name text={worker.program} />
        </Link>{" "}
        <span className="number dim">
          {worker.pid} {worker.version === null ? "" : `· ${visible(worker.version)}`}
        </span>
      </th>
      <td className="host">
        {!isOne && <Host hostname={worker.hostname} domain={domain} />}
      </td>
      <td className="heard">
        <Heard worker={worker} /> <Beats worker={worker} />
      </td>
      <td className="started dim">
        <Ago timeUs={worker.started_us} />
      </td>
      <td className="running number">{worker.running > 0 ? t("workers.running", { count: count(worker.running) }) : <span className="dim">{t("workers.idle")}</span>}</td>
      {TASKS.map((how) => (
        <td key={how} className={`${how} number`}>
          {worker.tasks ? count(worker.tasks[how]) : "–"}
        </td>
      ))}
      <td className="load number dim">{worker.loadavg?.[0] === undefined ? "–" : worker.loadavg[0].toFixed(1)}</td>
      <td className="dropped number" title={why.join("\n")}>
        {dropped > 0 ? count(dropped) : "–"}
      </td>
    </tr>
  );
});
