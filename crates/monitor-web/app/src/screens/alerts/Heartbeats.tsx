import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { deleteHeartbeat, fetchHeartbeats, rollHeartbeat } from "../../api/alerts.ts";
import type { Heartbeat, HeartbeatKey } from "../../api/types.ts";
import { useAgain, useAgainAt } from "../../data/useAgain.ts";
import { locale, t, wordText } from "../../i18n.ts";
import { visible } from "../../model/text.ts";
import { step } from "../../model/time.ts";
import { Button } from "../../ui/Button.tsx";
import { DataList } from "../../ui/DataList.tsx";
import { DeedSaid, useDeed } from "../../ui/Deed.tsx";
import { Dialog } from "../../ui/Dialog.tsx";
import { Empty } from "../../ui/Empty.tsx";
import { FilterField } from "../../ui/FilterField.tsx";
import { Icon, ICONS } from "../../ui/Icon.tsx";
import { Menu } from "../../ui/Menu.tsx";
import { useNow } from "../../ui/now.ts";
import { AdminButton, WhyRefused } from "../../ui/OperatorButton.tsx";
import { Outcomes } from "../../ui/Outcomes.tsx";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { StateMark } from "../../ui/StateMark.tsx";
import { Ago } from "../../ui/Time.tsx";
import { AlertsHead } from "./AlertsHead.tsx";
import { AddHeartbeat, NewKey } from "./HeartbeatKey.tsx";

/** Makes a heartbeat, and prints its key and how jobs use it. */
const ADD = "monitor heartbeat add nightly-backup --every 1d --grace 1h";
const AGAIN_MS = 1000;
const COLUMNS = ["sign", "heartbeat", "seen", "rhythm", "next", "pings", "state"] as const;
const MARKS: Readonly<Record<string, string>> = { new: "pending", up: "succeeded", late: "warning", missed: "missed" };

type Act = (deed: () => Promise<string | void>) => void;

/** External jobs, and the state of their heartbeats. */
export function Heartbeats() {
  const query = useQuery({ queryKey: ["heartbeats"], queryFn: ({ signal }) => fetchHeartbeats(signal), staleTime: 0 });
  useAgain(["alerts", "batch", "root"], query, AGAIN_MS);
  useAgainAt((query.data?.heartbeats ?? []).map(({ due_us }) => due_us), query);
  const [said, act] = useDeed(() => void query.refetch());
  const [key, setKey] = useState<HeartbeatKey>();
  const [isAdding, setIsAdding] = useState(false);
  const [wanted, setWanted] = useState<string>();
  const all = query.data?.heartbeats ?? [];
  const heartbeats = all.filter(({ name }) => wanted === undefined || name.toLowerCase().includes(wanted.toLowerCase()));
  return (
    <>
      <AlertsHead>
        <FilterField value={wanted} label={t("alerts.heartbeats.filter")} onChange={setWanted} />
        <AdminButton className="primary" onClick={() => setIsAdding(true)}>
          {t("alerts.heartbeat.new-one")}
        </AdminButton>
      </AlertsHead>
      <div className="body">
        <WhyRefused right="admin" />
        <DeedSaid said={said} />
        {key && <NewKey of={key} />}
        {query.error && <ProblemNotice error={query.error} onRetry={() => void query.refetch()} />}
        {query.isPending && !query.error && <p className="notice dim">{t("loading")}</p>}
        {query.data && heartbeats.length === 0 && (all.length > 0 ? <p className="notice dim">{t("alerts.heartbeats.none-so")}</p> : <Empty title={t("alerts.heartbeats.none")} how={t("alerts.heartbeats.how")} command={ADD} />)}
        {heartbeats.length > 0 && (
          <DataList columns={[...COLUMNS, "deeds" as const].map((key) => (key === "sign" ? { key, text: t("alerts.column.state"), isMute: true } : { key, text: t(`alerts.column.${key}`), isMute: key === "deeds" }))}>
            {heartbeats.map((heartbeat) => (
              <Row key={heartbeat.name} heartbeat={heartbeat} act={act} onKey={setKey} />
            ))}
          </DataList>
        )}
      </div>
      {isAdding && <AddHeartbeat onKey={(key) => {
            setKey(key);
            void query.refetch();
          }} onClose={() => setIsAdding(false)} />}
    </>
  );
}

function Row({ heartbeat, act, onKey }: { heartbeat: Heartbeat; act: Act; onKey: (key: HeartbeatKey) => void }) {
  const { name, state, seen_us, rule, zone, every_ms } = heartbeat;
  const [asks, setAsks] = useState(false);
  // The job has pinged in time, but its last run failed.
  const hasFailed = state === "up" && heartbeat.runs?.at(-1)?.outcome === "failed";
  const mark = hasFailed ? "failed" : (MARKS[state] ?? "pending");
  return (
    <tr data-heartbeat={hasFailed ? "failed" : state} data-state={mark} data-quiet={(state === "up" && !hasFailed) || state === "new" || undefined}>
      <td className="sign">
        <span className="state" data-state={mark}>
          <StateMark state={mark} />
        </span>
      </td>
      <th scope="row" translate="no">
        <Link to="/tasks/batch" search={{ tab: "runs", task: name }}>{visible(name)}</Link>
      </th>
      <td className="seen">{seen_us === null ? <span className="dim">{t("alerts.heartbeats.never")}</span> : <Ago timeUs={seen_us} />}</td>
      <td className="rhythm dim">{rule == null ? t("alerts.heartbeats.every", { time: step((every_ms ?? 0) * 1e6, locale) }) : `${visible(rule)} ${visible(zone ?? "UTC")}`}</td>
      <td className="next">
        <Expected heartbeat={heartbeat} />
      </td>
      <td className="pings">{(heartbeat.runs?.length ?? 0) > 0 && <Outcomes marks={heartbeat.runs ?? []} />}</td>
      <td className="state">{hasFailed ? t("alerts.heartbeat.failed") : wordText("alerts.heartbeat", state)}</td>
      <td className="deeds">
        <span className="row-deeds">
          <AdminButton className="outlined" onClick={() => act(() => rollHeartbeat(name).then(onKey))}>
            {t("alerts.heartbeat.roll")}
          </AdminButton>
          <Menu className="quiet" label={<><Icon d={ICONS.more} /> <span className="hidden">{t("batch.more")}</span></>}>
            <AdminButton data-choice onClick={() => setAsks(true)}>
              {t("alerts.heartbeat.delete")}
            </AdminButton>
          </Menu>
        </span>
        {asks && (
          <Dialog label={t("alerts.heartbeat.delete")} className="ask" onClose={() => setAsks(false)}>
            <h2>{t("alerts.heartbeat.delete.ask", { name: visible(name) })}</h2>
            <p>{t("alerts.heartbeat.delete.why")}</p>
            <p className="buttons">
              <Button className="outlined danger" onClick={() => {
                  setAsks(false);
                  act(() => deleteHeartbeat(name));
                }}>
                {t("alerts.heartbeat.delete")}
              </Button>
              <Button className="outlined" autoFocus onClick={() => setAsks(false)}>
                {t("tasks.delete.not")}
              </Button>
            </p>
          </Dialog>
        )}
      </td>
    </tr>
  );
}

/** When the next ping is expected, and the part of the time since the last one that has passed. */
function Expected({ heartbeat: { seen_us, due_us } }: { heartbeat: Heartbeat }) {
  const nowUs = useNow("slow");
  if (seen_us === null || due_us === null) return null;
  const part = Math.min(1, Math.max(0, (nowUs - seen_us) / Math.max(1, due_us - seen_us)));
  return (
    <span className="expected" data-over={nowUs > due_us}>
      <span className="meter" aria-hidden="true">
        <span style={{ width: `${part * 100}%` }} />
      </span>
      <Ago timeUs={due_us} />
    </span>
  );
}
