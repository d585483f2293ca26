import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useState } from "react";
import { fetchSeries } from "../../api/client.ts";
import { useSettled } from "../../data/useSettled.ts";
import { t } from "../../i18n.ts";
import { firstUs, heatMap, sinceFirst } from "../../model/stats.ts";
import { visible } from "../../model/text.ts";
import { absolute, zoneName } from "../../model/time.ts";
import { Button } from "../../ui/Button.tsx";
import { Empty } from "../../ui/Empty.tsx";
import { Head } from "../../ui/Head.tsx";
import { Icon, ICONS } from "../../ui/Icon.tsx";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { Charts } from "./Charts.tsx";
import { Errors } from "./Errors.tsx";
import { type Chosen, HeatMapView } from "./HeatMap.tsx";
import { NameTable } from "./NameTable.tsx";
import { Runs } from "./Runs.tsx";
import { RANGES, type RangeName, useStatsSearch } from "./useStatsSearch.ts";
import "./stats.css";

const AGAIN_MS = 30_000;
const ROWS = 40;
/** Least factor between the ends of the map's durations, as buckets: about two. */
const LEAST_BUCKETS = 18;
/** Number of steps that the charts have even if only the last ones have data. */
const LEAST_STEPS = 10;
/** Command whose process is counted here. */
const RUN = "monitor run -- sleep 3";

/** Statistics by name: counts, durations and results over time, and errors. */
export default function Statistics() {
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => document.visibilityState === "visible" && setTurn((before) => before + 1), AGAIN_MS);
    return () => clearInterval(timer);
  }, []);
  const search = useStatsSearch(turn);
  const { fromUs, toUs, name } = search;
  const [chosen, setChosen] = useState<Chosen | null>(null);
  useEffect(() => setChosen(null), [name, search.rangeName, search.between]);
  useEffect(() => {
    document.title = `${t("stats.title")} · ${t("app.name")}`;
  }, []);
  const query = useQuery({
    queryKey: ["series", name, fromUs, toUs],
    queryFn: ({ signal }) => fetchSeries({ from: fromUs, to: toUs, ...(name !== undefined && { name }) }, signal),
    placeholderData: keepPreviousData,
  });
  const ready = useSettled(!query.isPending, "series", "stats", "errors");
  const shown = useMemo(() => query.data && sinceFirst(query.data, LEAST_STEPS), [query.data]);
  const map = useMemo(() => shown && heatMap(shown, ROWS, LEAST_BUCKETS), [shown]);
  const first = query.data && firstUs(query.data);
  const isEmpty = query.data !== undefined && first === undefined;
  return (
    <div className="stats">
      <Head title={t("stats.title")}>
        <span className="group" role="group" aria-label={t("stats.range")}>
          {(Object.keys(RANGES) as RangeName[]).map((each) => (
            <Button key={each} className="toggle" aria-pressed={search.rangeName === each} onClick={() => search.set({ range: each, between: undefined })}>
              {t(`stats.range.${each}`)}
            </Button>
          ))}
        </span>
        <span className="dim number">
          {absolute(fromUs).slice(0, 16)} – {absolute(toUs).slice(0, 16)} {zoneName(toUs)}
          {first !== undefined && first > fromUs && ` · ${t("stats.since", { time: absolute(first).slice(5, 16) })}`}
        </span>
        {name !== undefined && (
          <Button className="outlined" onClick={() => search.set({ name: undefined })}>
            {visible(name)} <Icon d={ICONS.close} />
          </Button>
        )}
      </Head>
      {query.error && <ProblemNotice error={query.error} onRetry={() => void query.refetch()} />}
      <div className="stats-parts" data-ready={ready}>
        {shown && !isEmpty && <Charts series={shown} onZoom={(from, to) => search.set({ between: `${from}-${to}` })} />}
        {map && <HeatMapView map={map} onBox={setChosen} />}
        {chosen && <Runs key={JSON.stringify(chosen.within)} {...chosen} name={name} onClose={() => setChosen(null)} />}
        {isEmpty && name === undefined ? (
          <Empty title={t("stats.none")} how={t("stats.none.how")} command={RUN} />
        ) : (
          <>
            <NameTable search={search} />
            <Errors search={search} />
          </>
        )}
      </div>
    </div>
  );
}
