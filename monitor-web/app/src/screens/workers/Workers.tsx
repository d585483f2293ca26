import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Fragment, memo, useEffect, useMemo, useState, useSyncExternalStore } from "react";
import { fetchWorkers } from "../../api/client.ts";
import type { Worker } from "../../api/types.ts";
import { liveStore } from "../../data/live.ts";
import { liveWorkers } from "../../data/workers/live.ts";
import { count, locale, lostText, t, wordText } from "../../i18n.ts";
import { visible } from "../../model/text.ts";
import { ago, duration } from "../../model/time.ts";
import { groupWorkers, isPresent, overdue, sharedDomain, sortWorkers, type WorkerGroup } from "../../model/workers.ts";
import { Beats } from "./Beats.tsx";
import { Channel } from "./Channel.tsx";
import { Work } from "./Work.tsx";
import { useNow } from "../../ui/now.ts";
import { Icon, ICONS } from "../../ui/Icon.tsx";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { StateMark } from "../../ui/StateMark.tsx";
import { Name } from "../../ui/Text.tsx";
import { Ago } from "../../ui/Time.tsx";
import "./workers.css";

const MOST = 1000;
const COLUMNS = ["state", "program", "host", "heard", "started", "running", "dropped"] as const;

/** Who reports, who is gone, and who was lost with what. */
export default function Workers() {
  const query = useQuery({ queryKey: ["workers"], queryFn: ({ signal }) => fetchWorkers({ limit: MOST }, signal) });
  const [all, setAll] = useState(false);
  const version = useSyncExternalStore(liveStore.subscribe, liveStore.get);
  const known = useMemo(() => {
    const all = new Map((query.data?.workers ?? []).map((worker) => [worker.id, { model: worker, asOf: query.data?.as_of ?? 0 }]));
    for (const [id, dated] of liveWorkers()) if (dated.asOf >= (all.get(id)?.asOf ?? 0)) all.set(id, dated);
    return sortWorkers([...all.values()].map(({ model }) => model));
  }, [query.data, version]);

  const workers = all ? known : known.filter(isPresent);
  const gone = known.length - known.filter(isPresent).length;
  const domain = sharedDomain(known.map(({ hostname }) => hostname));

  useEffect(() => {
    document.title = `${t("workers.title")} · ${t("app.name")}`;
  }, []);

  return (
    <div className="workers">
      <h1 className="hidden">{t("workers.title")}</h1>
      {query.error && <ProblemNotice error={query.error} onRetry={() => void query.refetch()} />}
      {known.length === 0 && !query.error && <p className="notice dim">{t(query.isPending ? "loading" : "workers.none")}</p>}
      {workers.length > 0 && (
        <table>
          <thead>
            <tr>
              {COLUMNS.map((column) => (
                <th key={column} scope="col" className={column}>
                  {t(`workers.column.${column}`)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {groupWorkers(workers).map((group) => (
              <Fragment key={`${group.program} ${group.hostname}`}>
                {group.workers.length > 1 && <GroupHead group={group} domain={domain} />}
                {group.workers.map((worker) => (
                  <Row key={worker.id} worker={worker} domain={domain} isOne={group.workers.length > 1} />
                ))}
              </Fragment>
            ))}
          </tbody>
        </table>
      )}
      {gone > 0 && (
        <p className="dim more">
          {t("workers.offline", { count: gone })}{" "}
          <button type="button" className="outlined" aria-pressed={all} onClick={() => setAll(!all)}>
            {t(all ? "workers.hide" : "workers.show")}
          </button>
        </p>
      )}
      {query.data?.next_cursor && <p className="dim more">{t("workers.more", { count: MOST })}</p>}
    </div>
  );
}

/** What the workers below it have in common. */
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
  /** Whether it stands in a group that says its program and host. */
  isOne: boolean;
}

const Row = memo(function Row({ worker, domain, isOne }: LineProps) {
  const [open, setOpen] = useState(false);
  return (
    <>
      <Line worker={worker} domain={domain} isOne={isOne} open={open} onToggle={() => setOpen(!open)} />
      {open && (
        <tr className="more">
          <td colSpan={COLUMNS.length}>
            <Figures worker={worker} />
            <Work worker={worker} />
            {worker.state === "online" && <Channel worker={worker} />}
          </td>
        </tr>
      )}
    </>
  );
});

/** What its heartbeats say of tasks and of its host. */
function Figures({ worker: { active, processed, loadavg } }: { worker: Worker }) {
  const load = loadavg?.map((figure) => figure.toFixed(2)).join(" · ");
  if (typeof processed !== "number" && load === undefined) return null;
  return (
    <p className="figures">
      {typeof processed === "number" && t("workers.processed", { active: active ?? 0, processed })} {load !== undefined && <span className="dim">{t("workers.load", { load })}</span>}
    </p>
  );
}

function Line({ worker, domain, isOne, open, onToggle }: LineProps & { open: boolean; onToggle: () => void }) {
  const dropped = worker.dropped.reduce((sum, { count: of }) => sum + of, 0);
  const why = worker.dropped.map((of) => `${lostText(of.type, of.count)}: ${wordText("missing.reason", of.reason)}`);
  return (
    <tr data-worker={worker.id} data-of={isOne ? "group" : undefined} data-state={STATES[worker.state]}>
      <td className="state">
        <button type="button" className="twist" aria-expanded={open} aria-label={t(open ? "root.close" : "root.open")} onClick={onToggle}>
          <Icon d={open ? ICONS.open : ICONS.closed} />
        </button>
        <StateMark state={STATES[worker.state] ?? ""} />{" "}
        {wordText("worker", worker.state)}
      </td>
      <td className="program">
        <Link to="/tasks" search={{ worker: worker.id }} className="link" title={t("workers.tasks")}>
          <Name text={worker.program} />
        </Link>{" "}
        <span className="number dim">
          {worker.pid} {worker.version === null ? "" : `· ${visible(worker.version)}`}
        </span>
      </td>
      <td className="host">
        {!isOne && <Host hostname={worker.hostname} domain={domain} />}
      </td>
      <td className="heard">
        <Heard worker={worker} /> <Beats worker={worker} />
      </td>
      <td className="started dim">
        <Ago timeUs={worker.started_us} />
      </td>
      <td className="running number">{count(worker.running)}</td>
      <td className="dropped number" title={why.join("\n")}>
        {dropped > 0 ? count(dropped) : "–"}
      </td>
    </tr>
  );
}

/** The marks of processes serve for workers too: what reports runs, what is gone is quiet. */
const STATES: Record<string, string> = { online: "succeeded", lost: "lost", offline: "cancelled" };

/** How long ago it was heard of, with how often it ought to be. */
function Heard({ worker }: { worker: Worker }) {
  const nowUs = useNow("slow");
  const late = overdue(worker, nowUs);
  const every = worker.heartbeat_interval_ms === null ? "" : t("workers.every", { duration: duration(worker.heartbeat_interval_ms * 1e6, locale) });
  return (
    <span title={every}>
      {worker.last_seen_us === 0 ? t("workers.unheard") : ago(worker.last_seen_us, nowUs, locale)}
      {late > 0 && <span className="late"> {t("workers.late", { count: late })}</span>}
      {worker.state === "lost" && worker.lost_us !== null && <span className="late"> {t("workers.lost", { time: ago(worker.lost_us, nowUs, locale) })}</span>}
    </span>
  );
}
