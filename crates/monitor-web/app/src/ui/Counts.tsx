import type { Counts as Numbers } from "../api/types.ts";
import { count, t } from "../i18n.ts";
import { needsAttention, STATES } from "../model/state.ts";
import { stateWord } from "./State.tsx";
import { StateMark } from "./StateMark.tsx";

/** Order of the states: running first, then those that need attention, then the others. */
const ORDER = [...STATES].sort((a, b) => rank(a) - rank(b));

function rank(state: string): number {
  return ["running", "failed", "lost", "cancelled", "pending", "succeeded"].indexOf(state);
}

/** Number of processes in each state; states without any are omitted. Failures of a run that succeeded were handled, and are dim. */
export function Counts({ counts, isHandled = false }: { counts: Numbers; isHandled?: boolean }) {
  return (
    <span className="counts number">
      {ORDER.filter((state) => counts[state] > 0).map((state) => {
        const isDim = isHandled && needsAttention(state);
        const words = isDim ? t("tasks.handled", { count: counts[state] }) : t("tasks.count", { count: count(counts[state]), state: stateWord(state) });
        return (
          <span key={state} className={isDim ? "state handled" : "state"} data-state={state} title={words}>
            <span aria-hidden="true">
              <StateMark state={state} />
              {count(counts[state])}
            </span>
            <span className="hidden">{words}</span>
          </span>
        );
      })}
    </span>
  );
}
