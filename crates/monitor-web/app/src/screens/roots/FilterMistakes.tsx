import { ApiError } from "../../api/client.ts";
import { t } from "../../i18n.ts";
import { type Filters, isFiltered } from "../../model/filters.ts";
import { mistakesIn } from "../../model/filter-text.ts";
import { STATES } from "../../model/state.ts";
import { visible } from "../../model/text.ts";
import { stateWord } from "../../ui/State.tsx";

/** True if the server refused the filters: its message then stands below them. */
export function isRefused(problem: unknown, filters: Filters): problem is ApiError {
  return problem instanceof ApiError && problem.status === 400 && isFiltered(filters);
}

/** What is wrong with the filters, below their field: states and keys that do not exist, and values that the server refuses. */
export function FilterMistakes({ filters, problem }: { filters: Filters; problem: unknown }) {
  const { states, keys } = mistakesIn(filters);
  const known = [...STATES, "retrying"].map((state) => (stateWord(state) === state ? state : `${state} (${stateWord(state)})`)).join(", ");
  const lines = [
    ...states.map((state) => t("tasks.filter.no-state", { state: visible(state), known })),
    ...keys.map((key) => t("tasks.filter.no-key", { key: visible(key) })),
    ...(isRefused(problem, filters) ? [visible(problem.message)] : []),
  ];
  if (lines.length === 0) return null;
  return (
    <div className="filter-mistakes" role="status">
      {lines.map((line) => (
        <p key={line}>{line}</p>
      ))}
    </div>
  );
}
