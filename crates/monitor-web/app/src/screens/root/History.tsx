import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { fetchProcesses, fetchRoots } from "../../api/client.ts";
import type { Process } from "../../api/types.ts";
import { locale, t } from "../../i18n.ts";
import { type Run, scatter } from "../../model/history.ts";
import { absolute, duration } from "../../model/time.ts";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { stateWord } from "../../ui/State.tsx";

const MOST = 50;
/** Period that is searched for earlier processes if the process is not a root. */
const BACK_US = 7 * 86_400e6;
const WIDTH = 320;
const HEIGHT = 96;

/** Durations of earlier processes with the same name, including the selected process. */
export function History({ process }: { process: Process }) {
  const isRoot = process.kind === "root" && process.parent_id === null;
  const query = useQuery({
    queryKey: ["history", isRoot, process.name, process.id, process.state],
    queryFn: async ({ signal }): Promise<Run[]> => {
      if (isRoot) return (await fetchRoots({ name: process.name, limit: MOST }, signal)).roots.map((root) => ({ ...root, id: null }));
      const after = Math.max(0, Math.round((process.started_us ?? Date.now() * 1000) - BACK_US));
      return (await fetchProcesses({ name: process.name, kind: process.kind, started_after: after, limit: MOST }, signal)).processes;
    },
  });
  if (query.error) return <ProblemNotice error={query.error} onRetry={() => void query.refetch()} />;
  const picture = scatter(query.data ?? [], { width: WIDTH, height: HEIGHT });
  if (!picture || picture.points.length < 2) return null;
  const own = picture.points.find(({ run }) => run.root_id === process.root_id && (run.id === null || run.id === process.id));
  const took = own?.run.elapsed_ns ?? null;
  // Each point can be clicked over the full height, half way to its neighbours.
  const places = picture.points.map(({ x }) => x).sort((a, b) => a - b);
  const room = (x: number) => {
    const at = places.indexOf(x);
    const [left, right] = [at === 0 ? 0 : (x + (places[at - 1] ?? 0)) / 2, (x + (places[at + 1] ?? 2 * WIDTH - x)) / 2];
    return <rect className="room" x={left} width={right - left} height={HEIGHT} />;
  };
  return (
    <section className="history">
      <h3>{t("history.title", { count: picture.points.length })}</h3>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="group" aria-label={t("history.chart", { p50: duration(picture.p50, locale), least: duration(picture.least, locale), most: duration(picture.most, locale) })}>
        <line className="median" x1="0" x2={WIDTH} y1={picture.medianY} y2={picture.medianY} />
        {picture.points.map(({ run, x, y }) => (
          <Link key={`${run.root_id} ${run.id}`} to="/tasks/$root" params={{ root: run.root_id }} search={run.id === null ? {} : { process: run.id }} tabIndex={-1} data-state={run.state}>
            <title>{[stateWord(run.state), duration(run.elapsed_ns ?? 0, locale), run.started_us !== null && absolute(run.started_us).slice(0, 19)].filter(Boolean).join(" · ")}</title>
            {room(x)}
            {run.state === "succeeded" ? <circle cx={x} cy={y} r="3.5" /> : <path d={`M${x - 4} ${y - 4}l8 8m0 -8l-8 8`} />}
            {run === own?.run && <circle className="own" cx={x} cy={y} r="7" />}
          </Link>
        ))}
      </svg>
      <p className="dim number">
        {t("history.median", { p50: duration(picture.p50, locale) })}
        {took !== null && picture.p50 > 0 && ` · ${t("history.times", { times: (took / picture.p50).toFixed(1) })}`}
      </p>
    </section>
  );
}
