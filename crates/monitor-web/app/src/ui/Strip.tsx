import { t } from "../i18n.ts";

const WIDTH = 72;
const HEIGHT = 14;
const STEP = 6;
export const MOST_MARKS = WIDTH / STEP;

/**
 * Results and durations of the last runs of a name, this run at the right end. Failures also differ by height. `marks` has the format
 * `state:nanoseconds`, separated by spaces, so that a row is only redrawn if it changes.
 */
export function Strip({ marks }: { marks: string }) {
  const runs = marks.split(" ").map((mark) => mark.split(":") as [state: string, took: string]);
  const most = Math.max(1, ...runs.map(([, took]) => Number(took)));
  const isBad = (state: string) => state === "failed" || state === "lost";
  return (
    <svg className="last" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} width={WIDTH} height={HEIGHT} role="img" aria-label={t("tasks.last", { count: runs.length, bad: runs.filter(([state]) => isBad(state)).length })}>
      {runs.map(([state, took], index) => {
        const height = isBad(state) ? 12 : 3 + 6 * ((Number(took) || most) / most);
        return <rect key={index} data-state={state} x={WIDTH - (runs.length - index) * STEP + 1} y={HEIGHT - 1 - height} width={STEP - 2} height={height} rx="0.5" />;
      })}
    </svg>
  );
}
