import { t } from "../../i18n.ts";
import type { BatchMark } from "../../api/types.ts";

const STEP = 5;
const HEIGHT = 14;

/** What became of the newest runs, the last one at the right: what failed stands out by its height as well. */
export function Outcomes({ marks }: { marks: readonly BatchMark[] }) {
  if (marks.length === 0) return <span className="dim">{t("batch.no-runs")}</span>;
  const isBad = ({ outcome }: BatchMark) => outcome === "failed" || outcome === "lost";
  const width = 30 * STEP;
  return (
    <svg className="last" viewBox={`0 0 ${width} ${HEIGHT}`} width={width} height={HEIGHT} role="img" aria-label={t("tasks.last", { count: marks.length, bad: marks.filter(isBad).length })}>
      {marks.map((mark, index) => {
        const height = isBad(mark) ? 12 : 6;
        return <rect key={mark.run} data-state={mark.outcome} x={width - (marks.length - index) * STEP + 1} y={HEIGHT - 1 - height} width={STEP - 2} height={height} rx="0.5" />;
      })}
    </svg>
  );
}
