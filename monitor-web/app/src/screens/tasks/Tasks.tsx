import { useNavigate, useSearch } from "@tanstack/react-router";
import { useCallback, useEffect } from "react";
import { t } from "../../i18n.ts";
import { type Filters, filtersOf, isFiltered } from "../../model/filters.ts";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { Empty } from "./Empty.tsx";
import { FilterBar } from "./FilterBar.tsx";
import { RootList } from "./RootList.tsx";
import { type RootListState, useRoots } from "./useRoots.ts";
import "./tasks.css";

/** The list of roots. */
export function Tasks() {
  const filters = filtersOf(useSearch({ strict: false }));
  const navigate = useNavigate();
  const setFilters = useCallback(
    (next: Filters) => void navigate({ to: "/tasks", search: next, replace: true }),
    [navigate],
  );
  const list = useRoots(filters);

  useEffect(() => {
    document.title = `${t("tasks.title")} · ${t("app.name")}`;
  }, []);

  return (
    <div className="tasks">
      <h1 className="hidden">{t("tasks.title")}</h1>
      <FilterBar filters={filters} onChange={setFilters} />
      {list.problem ? <ProblemNotice error={list.problem} onRetry={list.retry} /> : null}
      <Rows list={list} filters={filters} onClear={() => setFilters({})} />
    </div>
  );
}

function Rows({ list, filters, onClear }: { list: RootListState; filters: Filters; onClear: () => void }) {
  if (list.roots.length > 0) return <RootList key={JSON.stringify(filters)} list={list} />;
  if (list.problem) return null;
  if (list.loading) return <p className="notice dim">{t("loading")}</p>;
  if (!isFiltered(filters)) return <Empty />;
  return (
    <div className="notice">
      <h2>{t("tasks.none")}</h2>
      <button type="button" className="outlined" onClick={onClear}>
        {t("tasks.filter.clear")}
      </button>
    </div>
  );
}
