import type { Progress } from "../api/types.ts";
import { locale, t } from "../i18n.ts";
import { estimate } from "../model/estimate.ts";
import { duration } from "../model/time.ts";
import { useNow } from "./now.ts";
import { progressText } from "./progress.ts";

interface Props {
  process: Parameters<typeof estimate>[0] & { progress?: Progress | null };
}

/** Progress of a running process: as it reports, otherwise estimated from earlier durations and marked as an estimate. */
export function Expected({ process }: Props) {
  const nowUs = useNow(process.state === "running" ? "slow" : "never");
  const of = estimate(process, nowUs);
  const said = process.state === "running" && process.progress ? progressText(process.progress) : "";
  if (!of) return said === "" ? null : <span className="expected number">{said}</span>;
  const time = (nanoseconds: number) => duration(nanoseconds, locale);
  const percent = Math.floor(of.part * 100);
  const why = [
    of.from === "progress" ? t("expected.progress", { percent }) : t("expected.history", { p50: time(of.p50) }),
    of.p95 === null ? "" : t("expected.p95", { p95: time(of.p95) }),
    of.from === "history" && of.times > 1 ? t("expected.unusual", { times: of.times.toFixed(1) }) : "",
  ].filter(Boolean);
  // A process whose parts are all done may have work left that it does not count.
  const words = of.leftNs === null || (of.from === "progress" && of.leftNs <= 0) ? "" : of.leftNs > 0 ? t("expected.left", { time: time(of.leftNs) }) : t("expected.over", { time: time(-of.leftNs), p50: time(of.p50) });
  return (
    <span className="expected" data-over={of.leftNs !== null && of.leftNs < 0} data-from={of.from} title={why.join("\n")}>
      <span className="meter" role="progressbar" aria-label={t("panel.progress")} aria-valuenow={percent} aria-valuetext={[...(said === "" ? [] : [said]), words, ...why].join(", ")}>
        <span style={{ width: `${percent}%` }} />
      </span>
      <span className="number">{[said, words].filter(Boolean).join(" · ")}</span>
    </span>
  );
}
