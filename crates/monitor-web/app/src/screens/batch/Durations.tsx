import { Link } from "@tanstack/react-router";
import type { BatchRun } from "../../api/types.ts";
import { locale, t } from "../../i18n.ts";
import { clock, duration, elapsed } from "../../model/time.ts";
import { stateWord } from "../../ui/State.tsx";

/** Minimum height of a bar, in percent. */
const LEAST = 3;

/** The durations of the last runs as bars, the newest at the right; each leads to its run. `runs` are the newest first. */
export function Durations({ runs }: { runs: readonly BatchRun[] }) {
  const bars = runs.toReversed().map((run) => ({ run, took: elapsed({ state: run.outcome, ...run }, Date.now() * 1000) }));
  const known = bars.flatMap(({ took }) => took ?? []).sort((a, b) => a - b);
  const at = (part: number) => known[Math.min(known.length - 1, Math.floor(known.length * part))] ?? 0;
  const most = Math.max(1, at(1));
  const time = (nanoseconds: number) => duration(nanoseconds, locale);
  const oldest = bars[0]?.run;
  return (
    <section aria-labelledby="batch-durations">
      <h2 id="batch-durations">{t("batch.durations", { count: bars.length })}</h2>
      <div className="bars">
        {bars.map(({ run, took }) => {
          const words = [stateWord(run.outcome), clock(run.started_us ?? run.due_us), ...(took === null ? [] : [time(took)])].join(" · ");
          return (
            <Link key={run.run} to="/tasks/$root" params={{ root: run.root_id }} data-state={run.outcome} title={words} aria-label={words}>
              <i style={{ height: `${Math.max(LEAST, ((took ?? 0) / most) * 100)}%` }} />
            </Link>
          );
        })}
      </div>
      <p className="axis dim">
        <span>{oldest && clock(oldest.started_us ?? oldest.due_us)}</span>
        <span>{known.length > 0 && t("batch.durations.usual", { p50: time(at(0.5)), p95: time(at(0.95)) })}</span>
        <span>{t("batch.durations.now")}</span>
      </p>
    </section>
  );
}
