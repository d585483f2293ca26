import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { fetchHeartbeats, rollHeartbeat } from "../../api/alerts.ts";
import type { HeartbeatKey } from "../../api/types.ts";
import { useAgain, useAgainAt } from "../../data/useAgain.ts";
import { locale, t, wordText } from "../../i18n.ts";
import { visible } from "../../model/text.ts";
import { duration } from "../../model/time.ts";
import { DeedSaid, useDeed } from "../../ui/Deed.tsx";
import { AdminButton } from "../../ui/OperatorButton.tsx";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { Ago } from "../../ui/Time.tsx";
import { AddHeartbeat, NewKey } from "./HeartbeatKey.tsx";

/** Makes a heartbeat, and prints its key and how jobs use it. */
const ADD = "monitor heartbeat add nightly-backup --every 1d --grace 1h";
const AGAIN_MS = 1000;

/** External jobs, and the state of their heartbeats. */
export function Heartbeats() {
  const query = useQuery({ queryKey: ["heartbeats"], queryFn: ({ signal }) => fetchHeartbeats(signal), staleTime: 0 });
  useAgain(["alerts", "batch", "root"], query, AGAIN_MS);
  useAgainAt((query.data?.heartbeats ?? []).map(({ due_us }) => due_us), query);
  const [said, act] = useDeed(() => void query.refetch());
  const [key, setKey] = useState<HeartbeatKey>();
  const heartbeats = query.data?.heartbeats ?? [];
  const columns = ["heartbeat", "state", "seen", "expected", "rhythm", "deeds"] as const;
  return (
    <>
      <AddHeartbeat act={act} onKey={setKey} />
      <DeedSaid said={said} />
      {key && <NewKey of={key} />}
      {query.error && <ProblemNotice error={query.error} onRetry={() => void query.refetch()} />}
      {heartbeats.length === 0 && !query.error && (
        <div className="notice dim">
          <p>{t(query.isPending ? "loading" : "alerts.heartbeats.none")}</p>
          {!query.isPending && <pre className="mono">{ADD}</pre>}
        </div>
      )}
      {heartbeats.length > 0 && (
        <table>
          <thead>
            <tr>
              {columns.map((column) => (
                <th key={column} scope="col" className={column === "rhythm" ? "aside" : column === "expected" ? undefined : column}>
                  {t(`alerts.column.${column}`)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {heartbeats.map((heartbeat) => (
              <tr key={heartbeat.name} data-heartbeat={heartbeat.state}>
                <th scope="row" translate="no">
                  {visible(heartbeat.name)}
                </th>
                <td className="state">{wordText("alerts.heartbeat", heartbeat.state)}</td>
                <td>{heartbeat.seen_us === null ? <span className="dim">{t("alerts.heartbeats.never")}</span> : <Ago timeUs={heartbeat.seen_us} />}</td>
                <td>{heartbeat.due_us !== null && <Ago timeUs={heartbeat.due_us} />}</td>
                <td className="aside dim">
                  {heartbeat.rule == null ? t("alerts.heartbeats.every", { time: duration((heartbeat.every_ms ?? 0) * 1e6, locale) }) : `${visible(heartbeat.rule)} ${visible(heartbeat.zone ?? "UTC")}`}
                </td>
                <td className="deeds">
                  <AdminButton className="outlined" onClick={() => act(() => rollHeartbeat(heartbeat.name).then(setKey))}>
                    {t("alerts.heartbeat.roll")}
                  </AdminButton>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </>
  );
}
