import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { fetchAlerts } from "../../api/alerts.ts";
import type { Alert } from "../../api/types.ts";
import { useAgain } from "../../data/useAgain.ts";
import { useMay } from "../../data/useMe.ts";
import { locale, t } from "../../i18n.ts";
import { visible } from "../../model/text.ts";
import { ago } from "../../model/time.ts";
import { Button } from "../../ui/Button.tsx";
import { DataList } from "../../ui/DataList.tsx";
import { DeedSaid, useDeed } from "../../ui/Deed.tsx";
import { useNow } from "../../ui/now.ts";
import { WhyRefused } from "../../ui/OperatorButton.tsx";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { At } from "../../ui/Time.tsx";
import { AlertsHead } from "./AlertsHead.tsx";
import { Deliveries } from "./Deliveries.tsx";
import { Lanes, useLanes } from "./Lanes.tsx";
import { Mistakes } from "./Mistakes.tsx";
import { Notifying } from "./Notifying.tsx";
import { AlertButtons, AlertLink, Cause, SeverityMark, lasted } from "./parts.tsx";

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
  const alerts = query.data?.pages.flatMap((page) => page.alerts) ?? [];
  const newest = query.data?.pages[0];
  // Everything appears at once, so that nothing moves.
  const may = useMay("operate");
  const isPending = query.isPending || (isFiring ? may === undefined : lanes.isPending);
  return (
    <>
      <AlertsHead>
        {isFiring && alerts.length > 0 && <WhyRefused />}
        {isFiring && <Notifying />}
      </AlertsHead>
      <div className="body">
        <DeedSaid said={said} />
        {isPending && <p className="notice dim">{t("loading")}</p>}
        {query.error && <ProblemNotice error={query.error} onRetry={() => void query.refetch()} />}
        {!isPending && (
          <>
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
            {alerts.length > 0 && <Table alerts={alerts} isFiring={isFiring} act={act} />}
            {query.hasNextPage && (
              <p className="more">
                <Button className="outlined" onClick={() => void query.fetchNextPage()}>
                  {t("batch.more")}
                </Button>
              </p>
            )}
          </>
        )}
      </div>
    </>
  );
}

interface TableProps {
  alerts: readonly Alert[];
  isFiring: boolean;
  act: (deed: () => Promise<string | void>) => void;
}

function Table({ alerts, isFiring, act }: TableProps) {
  const columns = ["sign", "subject", "why", ...(isFiring ? (["firing"] as const) : (["since", "lasted"] as const)), "told"] as const;
  return (
    <DataList columns={[...columns, ...(isFiring ? (["deeds"] as const) : [])].map((key) => (key === "sign" ? { key, text: t("alerts.column.severity"), isMute: true } : { key, text: t(`alerts.column.${key}`), isMute: key === "deeds" }))}>
      {alerts.map((alert) => (
        <Row key={alert.id} alert={alert} isFiring={isFiring} act={act} />
      ))}
    </DataList>
  );
}

function Row({ alert, isFiring, act }: { alert: Alert } & Omit<TableProps, "alerts">) {
  const isOver = alert.state !== "firing";
  return (
    <tr data-alert={alert.id} data-severity={alert.severity} data-state={alert.state} data-quiet={isOver || alert.acknowledged_by !== null || undefined}>
      <td className="sign">
        <SeverityMark alert={alert} />
      </td>
      <th scope="row" className="subject">
        <AlertLink alert={alert} />
      </th>
      <td className="why">
        <Cause alert={alert} />{" "}
        {alert.facts.root_id !== undefined && (
          <Link to="/tasks/$root" params={{ root: alert.facts.root_id }} className="link">
            {t("alerts.tree")}
          </Link>
        )}
      </td>
      {isFiring ? (
        <td className="firing">
          <FiringFor alert={alert} />
        </td>
      ) : (
        <>
          <td className="since">
            <At timeUs={alert.since_us} />
          </td>
          <td className="lasted dim">{isOver ? lasted(alert, 0) : t("alerts.still")}</td>
        </>
      )}
      <td className="told dim">
        <Deliveries alert={alert} />
      </td>
      {isFiring && (
        <td className="deeds">
          <span className="row-deeds">
            <AlertButtons alert={alert} act={act} />
          </span>
        </td>
      )}
    </tr>
  );
}

/** How long an alert has been firing. */
function FiringFor({ alert }: { alert: Alert }) {
  const nowUs = useNow("slow");
  return <span title={ago(alert.since_us, nowUs, locale)}>{lasted(alert, nowUs)}</span>;
}
