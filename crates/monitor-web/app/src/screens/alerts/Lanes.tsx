import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { fetchAlerts } from "../../api/alerts.ts";
import { subjectName } from "../../data/alertWords.ts";
import { useAgain } from "../../data/useAgain.ts";
import { locale, t, wordText } from "../../i18n.ts";
import { type Lane, lanesOf } from "../../model/outages.ts";
import { visible } from "../../model/text.ts";
import { duration } from "../../model/time.ts";
import { Button } from "../../ui/Button.tsx";
import { useNow } from "../../ui/now.ts";
import { ProblemNotice } from "../../ui/Problem.tsx";

const DAYS = [1, 7, 30] as const;
const DAY_US = 86_400_000_000;
/** Maximum number of alerts and of lanes that are drawn. */
const LIMIT = 1000;
const MOST_LANES = 20;
const AGAIN_MS = 2000;
/** Interval at which the bars of active alerts are extended. */
const STEP_US = 10_000_000;

/** Reads the alerts of the lanes while `isShown`. */
export function useLanes(isShown: boolean) {
  const query = useQuery({ queryKey: ["alert-lanes"], queryFn: ({ signal }) => fetchAlerts({ limit: LIMIT }, signal), staleTime: 0, enabled: isShown });
  useAgain(["alerts"], query, AGAIN_MS, !isShown);
  return query;
}

/** The outages of each task, machine or job: a lane of bars for each. */
export function Lanes({ query }: { query: ReturnType<typeof useLanes> }) {
  const [days, setDays] = useState<number>(7);
  const nowUs = Math.ceil(useNow("slow") / STEP_US) * STEP_US;
  const lanes = useMemo(() => lanesOf(query.data?.alerts ?? [], nowUs - days * DAY_US, nowUs), [query.data, nowUs, days]);
  return (
    <section className="lanes" aria-labelledby="alert-lanes">
      <div className="filters">
        <h2 id="alert-lanes">{t("alerts.lanes")}</h2>
        {DAYS.map((each) => (
          <Button key={each} className="outlined" aria-pressed={each === days} onClick={() => setDays(each)}>
            {t("alerts.lanes.days", { days: each })}
          </Button>
        ))}
      </div>
      {query.error && <ProblemNotice error={query.error} onRetry={() => void query.refetch()} />}
      {query.data && lanes.length === 0 && <p className="more dim">{t("alerts.lanes.none")}</p>}
      {lanes.length > 0 && (
        <ul>
          <li className="axis dim" aria-hidden="true">
            <span />
            <span className="ends">
              <span>{shortTime(nowUs - days * DAY_US, days)}</span>
              <span>{shortTime(nowUs, days)}</span>
            </span>
          </li>
          {lanes.slice(0, MOST_LANES).map((lane) => (
            <Row key={lane.subject} lane={lane} />
          ))}
        </ul>
      )}
      {lanes.length > MOST_LANES && <p className="more dim">{t("alerts.lanes.more", { count: lanes.length - MOST_LANES })}</p>}
    </section>
  );
}

/** Formats the end of the lanes: with the time for one day, otherwise only the date. */
function shortTime(us: number, days: number): string {
  return new Date(us / 1000).toLocaleString(locale, { month: "short", day: "numeric", ...(days === 1 && { hour: "2-digit", minute: "2-digit" }) });
}

function Row({ lane: { subject, outages, totalUs } }: { lane: Lane }) {
  const name = subjectName(subject);
  const words = t("alerts.lane", { count: outages.length, time: duration(totalUs * 1000, locale) });
  const at = (us: number) => new Date(us / 1000).toLocaleString(locale);
  return (
    <li data-lane={subject}>
      <Link to="/tasks/alerts" search={{ tab: "history", subject }} className="link" translate="no" title={visible(subject)}>
        {name}
      </Link>
      <span className="track" role="img" aria-label={words} title={words}>
        {outages.map((outage) => (
          <span
            key={outage.id}
            className={outage.isFiring ? "outage firing" : "outage"}
            style={{ left: `min(${outage.left}%, 100% - 3px)`, width: `${outage.width}%` }}
            title={t("alerts.outage", { cause: wordText("alerts.cause", outage.cause), from: at(outage.fromUs), until: outage.isFiring ? t("alerts.still") : at(outage.untilUs) })}
          />
        ))}
      </span>
      <span className="dim total">{duration(totalUs * 1000, locale)}</span>
    </li>
  );
}
