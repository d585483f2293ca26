import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { fetchErrors } from "../../api/client.ts";
import { count, t } from "../../i18n.ts";
import { brief, visible } from "../../model/text.ts";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { Ago } from "../../ui/Time.tsx";
import type { StatsSearch } from "./useStatsSearch.ts";

const MOST = 20;

/** The most frequent errors; messages that differ only in numbers and names are grouped. */
export function Errors({ search }: { search: StatsSearch }) {
  const { fromUs, toUs, name } = search;
  const query = useQuery({
    queryKey: ["errors", fromUs, toUs, name],
    queryFn: ({ signal }) => fetchErrors({ from: fromUs, to: toUs, limit: MOST, ...(name !== undefined && { name }) }, signal),
    placeholderData: keepPreviousData,
  });
  const errors = query.data?.errors ?? [];
  return (
    <section className="errors">
      <h2>{t("stats.errors")}</h2>
      {query.error && <ProblemNotice error={query.error} onRetry={() => void query.refetch()} />}
      {errors.length === 0 && !query.error && <p className="dim">{t(query.isPending ? "loading" : "stats.errors.none")}</p>}
      <ol>
        {errors.map((error) => (
          <li key={`${error.name} ${error.shape}`}>
            <span className="number times">{count(error.count)}</span>
            <span className="shape" title={visible(brief(error.message))}>
              {error.root_id ? (
                <Link to="/tasks/$root" params={{ root: error.root_id }} search={{ process: error.id }}>
                  {visible(brief(error.shape))}
                </Link>
              ) : (
                visible(brief(error.shape))
              )}
            </span>
            <span className="dim">{visible(error.name)}</span>
            <span className="dim last">
              <Ago timeUs={error.last_us} />
            </span>
          </li>
        ))}
      </ol>
    </section>
  );
}
