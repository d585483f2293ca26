import type { BatchMark } from "../api/types.ts";
import { t } from "../i18n.ts";

const STEP = 5;
const HEIGHT = 14;

/** Results of the newest runs, the latest at the right. Failures also differ by height, not only by colour. */
export function Outcomes({ marks }: { marks: readonly BatchMark[] }) {
  if (marks.length === 0) return null;
  const isBad = ({ outcome }: BatchMark) => outcome === "failed" || outcome === "lost";
  const width = 30 * STEP;
  // One path for each state: a long list would have too many elements otherwise.
  const paths = new Map<string, string>();
  for (const [index, mark] of marks.entries()) {
    const height = isBad(mark) ? 12 : 6;
    const bar = `M${width - (marks.length - index) * STEP + 1} ${HEIGHT - 1}v-${height}h${STEP - 2}v${height}z`;
    paths.set(mark.outcome, (paths.get(mark.outcome) ?? "") + bar);
  }
  return (
    <svg className="last outcomes" viewBox={`0 0 ${width} ${HEIGHT}`} width={width} height={HEIGHT} role="img" aria-label={t("tasks.last", { count: marks.length, bad: marks.filter(isBad).length })}>
      {[...paths].map(([state, d]) => (
        <path key={state} data-state={state} d={d} />
      ))}
    </svg>
  );
}
