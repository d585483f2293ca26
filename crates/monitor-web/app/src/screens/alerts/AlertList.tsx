import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { fetchAlerts } from "../../api/alerts.ts";
import type { Alert } from "../../api/types.ts";
import { useAgain } from "../../data/useAgain.ts";
import { t, wordText } from "../../i18n.ts";
import { visible } from "../../model/text.ts";
import { DeedSaid, useDeed } from "../../ui/Deed.tsx";
import { WhyRefused } from "../../ui/OperatorButton.tsx";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { Ago, At } from "../../ui/Time.tsx";
import { Lanes, useLanes } from "./Lanes.tsx";
import { Notifying } from "./Notifying.tsx";
import { AlertButtons, AlertLink, Cause, lasted } from "./parts.tsx";

const LIMIT = 100;
const AGAIN_MS = 1000;

/** Active alerts, or all alerts ever; limited to a subject, if one is given. */
export function AlertList({ isFiring, subject }: { isFiring: boolean; subject: string | undefined }) {
  const query = useInfiniteQuery({
    queryKey: ["alerts", isFiring, subject],
    queryFn: ({ pageParam, signal }) => fetchAlerts({ limit: LIMIT, ...(isFiring && { state: "firing" }), ...(subject !== undefined && { subject }), ...(pageParam && { cursor: pageParam }) }, signal),
    initialPageParam: "",
    getNextPageParam: (page) => page.next_cursor,
    staleTime: 0,
    placeholderData: (before, last) => (last?.queryKey[1] === isFiring ? before : undefined),
  });
  useAgain(["alerts"], query, AGAIN_MS);
  const lanes = useLanes(!isFiring);
  const [said, act] = useDeed(() => void query.refetch());
  // Everything appears at once, so that nothing moves.
  if (query.isPending || (!isFiring && lanes.isPending)) return <p className="notice dim">{t("loading")}</p>;
  const alerts = query.data?.pages.flatMap((page) => page.alerts) ?? [];
  const newest = query.data?.pages[0];
  const columns = ["subject", "why", "since", isFiring ? "deeds" : "lasted", "told"] as const;
  return (
    <>
      <DeedSaid said={said} />
      {query.error && <ProblemNotice error={query.error} onRetry={() => void query.refetch()} />}
      {!isFiring && <Lanes query={lanes} />}
      {subject !== undefined && (
        <p className="more" translate="no">
          {visible(subject)}{" "}
          <Link to="/tasks/alerts" search={isFiring ? {} : { tab: "history" }} className="link" translate="yes">
            {t("tasks.filter.clear")}
          </Link>
        </p>
      )}
      {newest && !newest.can_tell && <p className="more bad">{t("alerts.nobody")}</p>}
      <Mistakes of={newest?.mistakes ?? []} />
      {alerts.length === 0 && !query.error && <p className="notice dim">{t(isFiring ? "alerts.none" : "alerts.never")}</p>}
      {isFiring && (
        <p className="more">
          <Notifying /> {alerts.length > 0 && <WhyRefused />}
        </p>
      )}
      {alerts.length > 0 && (
        <table>
          <thead>
            <tr>
              {columns.map((column) => (
                <th key={column} scope="col" className={column === "told" ? "aside" : column}>
                  {t(`alerts.column.${column}`)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {alerts.map((alert) => (
              <Row key={alert.id} alert={alert} isFiring={isFiring} act={act} />
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

function Row({ alert, isFiring, act }: { alert: Alert; isFiring: boolean; act: (deed: () => Promise<string | void>) => void }) {
  return (
    <tr data-alert={alert.id} data-severity={alert.severity} data-state={alert.state}>
      <th scope="row" className="subject">
        <span className="severity">{wordText("alerts.severity", alert.severity)}</span> <AlertLink alert={alert} />
      </th>
      <td className="why">
        <Cause alert={alert} />{" "}
        {alert.facts.root_id !== undefined && (
          <Link to="/tasks/$root" params={{ root: alert.facts.root_id }} className="link">
            {t("alerts.tree")}
          </Link>
        )}
      </td>
      <td className="since">{isFiring ? <Ago timeUs={alert.since_us} /> : <At timeUs={alert.since_us} />}</td>
      {isFiring ? (
        <td className="deeds">
          <AlertButtons alert={alert} act={act} />
        </td>
      ) : (
        <td className="lasted dim">{alert.state === "firing" ? t("alerts.still") : lasted(alert, 0)}</td>
      )}
      <td className="aside dim">
        {alert.acknowledged_by !== null && t("alerts.acked")} <span translate="no">{alert.acknowledged_by === null ? alert.told.map(visible).join(", ") : visible(alert.acknowledged_by)}</span>
      </td>
    </tr>
  );
}

/** Errors in the file of rules and channels. */
export function Mistakes({ of }: { of: readonly string[] }) {
  if (of.length === 0) return null;
  return (
    <div className="more bad" role="alert">
      <p>{t("alerts.mistakes")}</p>
      <pre className="mono">{of.map(visible).join("\n")}</pre>
    </div>
  );
}
