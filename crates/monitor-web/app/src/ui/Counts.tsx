import type { Counts as Numbers } from "../api/types.ts";
import { count, t } from "../i18n.ts";
import { STATES } from "../model/state.ts";
import { stateWord } from "./State.tsx";
import { StateMark } from "./StateMark.tsx";

/** Running first, then what needs a look, then the rest: the order in which one asks. */
const ORDER = [...STATES].sort((a, b) => rank(a) - rank(b));

function rank(state: string): number {
  return ["running", "failed", "lost", "cancelled", "pending", "succeeded"].indexOf(state);
}

/** How many processes are in which state; those without any are left out. */
export function Counts({ counts }: { counts: Numbers }) {
  return (
    <span className="counts number">
      {ORDER.filter((state) => counts[state] > 0).map((state) => {
        const words = t("tasks.count", { count: count(counts[state]), state: stateWord(state) });
        return (
          <span key={state} className="state" data-state={state} title={words}>
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
