import { useNavigate, useSearch } from "@tanstack/react-router";
import { useCallback, useEffect, useRef } from "react";
import { rememberList } from "../../data/roots/list-search.ts";
import { useSettled } from "../../data/useSettled.ts";
import { t } from "../../i18n.ts";
import { type Filters, filtersOf, isFiltered, isOfNames } from "../../model/filters.ts";
import { Button } from "../../ui/Button.tsx";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { Causes, useCauses } from "./Causes.tsx";
import { CheckedBar } from "./CheckedBar.tsx";
import { Empty } from "./Empty.tsx";
import { FilterBar, useCounts } from "./FilterBar.tsx";
import { FilterMistakes, isRefused } from "./FilterMistakes.tsx";
import { Names } from "./Names.tsx";
import { RootList } from "./RootList.tsx";
import { type Checked, useChecked } from "./useChecked.ts";
import { type RootListState, useRoots } from "./useRoots.ts";
import "../../ui/states.css";
import "./tasks.css";

/** The list of runs, or of their names. */
export default function Tasks() {
  const search = useSearch({ strict: false }) as { by?: string };
  const filters = filtersOf(search);
  const byName = search.by === "name" && isOfNames(filters);
  const navigate = useNavigate();
  const setFilters = useCallback(
    (next: Filters) => {
      // A filter change that takes effect late must not navigate back from another screen.
      if (location.pathname === "/tasks") void navigate({ to: "/tasks", search: byName ? { ...next, by: "name" } : next, replace: true });
    },
    [navigate, byName],
  );
  useEffect(() => rememberList(search), [search]);
  useEffect(() => {
    document.title = `${t(byName ? "names.title" : "tasks.title")} · ${t("app.name")}`;
  }, [byName]);
  return <div className="tasks">{byName ? <Names q={filters.q} onFilter={(q) => setFilters(q === undefined ? {} : { q })} /> : <AllRuns filters={filters} onFilters={setFilters} />}</div>;
}

function AllRuns({ filters, onFilters }: { filters: Filters; onFilters: (filters: Filters) => void }) {
  const list = useRoots(filters);
  const counts = useCounts(filters);
  // The numbers determine the height of the bar; rows that were shown once stay.
  const hasBar = useRef(false);
  hasBar.current ||= counts.isRead;
  return (
    <>
      <h1 className="hidden">{t("tasks.title")}</h1>
      <FilterBar filters={filters} counts={counts} onChange={onFilters} />
      <FilterMistakes filters={filters} problem={list.problem} />
      <Runs list={list} filters={filters} isHeld={!hasBar.current} onFilters={onFilters} />
    </>
  );
}

interface RowsProps {
  list: RootListState;
  filters: Filters;
  onFilters: (filters: Filters) => void;
}

/** The runs, and above them the causes of failures. Both appear at once, after the bar above has its height, so that nothing moves. */
function Runs({ list, filters, isHeld, onFilters }: RowsProps & { isHeld: boolean }) {
  const checked = useChecked(list.belongs, list.roots, JSON.stringify(filters));
  const causes = useCauses();
  const isSettled = useSettled(!list.loading && causes.isRead);
  if (!isSettled || isHeld) return <p className="notice dim">{t("loading")}</p>;
  return (
    <>
      {checked.ids.size > 0 && <CheckedBar checked={checked} />}
      {list.problem && !isRefused(list.problem, filters) ? <ProblemNotice error={list.problem} onRetry={list.retry} /> : null}
      <Rows list={list} filters={filters} checked={checked} onFilters={onFilters} />
      {(list.roots.length > 0 || isFiltered(filters)) && <Causes list={causes} filters={filters} onChange={onFilters} />}
    </>
  );
}

function Rows({ list, filters, checked, onFilters }: RowsProps & { checked: Checked }) {
  if (list.roots.length > 0) return <RootList key={JSON.stringify(filters)} list={list} checked={checked} filters={filters} onFilters={onFilters} />;
  if (list.problem && !isRefused(list.problem, filters)) return null;
  if (list.loading) return <p className="notice dim">{t("loading")}</p>;
  if (!isFiltered(filters)) return <Empty />;
  return (
    <div className="notice">
      <h2>{t("tasks.none")}</h2>
      <Button className="outlined" onClick={() => onFilters({})}>
        {t("tasks.filter.clear")}
      </Button>
    </div>
  );
}
