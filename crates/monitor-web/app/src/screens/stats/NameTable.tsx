import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { fetchStats } from "../../api/client.ts";
import type { NameStats } from "../../api/types.ts";
import { count, locale, t } from "../../i18n.ts";
import { share } from "../../model/stats.ts";
import { duration } from "../../model/time.ts";
import { Button } from "../../ui/Button.tsx";
import { DataList } from "../../ui/DataList.tsx";
import { Icon, ICONS } from "../../ui/Icon.tsx";
import { Input } from "../../ui/Input.tsx";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { Name } from "../../ui/Text.tsx";
import type { StatsSearch } from "./useStatsSearch.ts";

const PAGE = 50;
const TYPING_MS = 250;
const SORTS = ["count", "failed", "p50", "p95", "p99", "total"] as const;

/** A row a name; a click chooses it for the charts. */
export function NameTable({ search }: { search: StatsSearch }) {
  const { fromUs, toUs, q = "", set } = search;
  const sort = SORTS.find((each) => each === search.sort) ?? "count";
  const query = useInfiniteQuery({
    queryKey: ["stats", fromUs, toUs, q, sort],
    queryFn: ({ pageParam, signal }) => fetchStats({ by: "name", from: fromUs, to: toUs, sort, limit: PAGE, ...(q && { q }), ...(pageParam && { cursor: pageParam }) }, signal),
    initialPageParam: "",
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    placeholderData: keepPreviousData,
  });
  const rows = query.data?.pages.flatMap((page) => page.stats) ?? [];
  const [text, setText] = useState(q);
  useEffect(() => {
    const timer = setTimeout(() => text !== q && set({ q: text || undefined }), TYPING_MS);
    return () => clearTimeout(timer);
  }, [text]);
  const head = (each: (typeof SORTS)[number]) => (
    <th key={each} scope="col" aria-sort={sort === each ? "descending" : undefined}>
      <Button onClick={() => set({ sort: each === "count" ? undefined : each })}>
        {t(`stats.column.${each}`)} {sort === each && <Icon d={ICONS.down} />}
      </Button>
    </th>
  );
  return (
    <section className="by-name">
      <div className="line">
        <h2>{t("tasks.by-name")}</h2>
        <Input type="search" aria-label={t("stats.search")} placeholder={t("stats.search")} value={text} onChange={(event) => setText(event.target.value)} />
      </div>
      {query.error && <ProblemNotice error={query.error} onRetry={() => void query.refetch()} />}
      {rows.length === 0 && !query.error && <p className="dim">{t(query.isPending ? "loading" : "stats.none")}</p>}
      {rows.length > 0 && (
        <div className="table-frame">
          <DataList
            heads={
              <>
                <th scope="col">{t("stats.column.name")}</th>
                {SORTS.map(head)}
              </>
            }
          >
            {rows.map((row) => (
              <Row key={row.name} row={row} chosen={search.name === row.name} onChoose={() => set({ name: search.name === row.name ? undefined : row.name })} />
            ))}
          </DataList>
        </div>
      )}
      {query.hasNextPage && (
        <Button className="outlined" onClick={() => void query.fetchNextPage()}>
          {t("stats.more")}
        </Button>
      )}
    </section>
  );
}

function Row({ row, chosen, onChoose }: { row: NameStats; chosen: boolean; onChoose: () => void }) {
  const bad = row.failed + row.lost;
  const rate = row.count === 0 ? 0 : bad / row.count;
  const time = (value: number | null) => (value === null ? "–" : duration(value, locale));
  return (
    <tr aria-selected={chosen}>
      <th scope="row">
        <Button className="inline" aria-pressed={chosen} onClick={onChoose}>
          <Name text={row.name === "" ? t("root.unnamed") : row.name} />
        </Button>
      </th>
      <td>{count(row.count)}</td>
      <td className="rate" data-bad={bad > 0}>
        {bad > 0 && <span className="share" style={{ width: `${Math.max(2, rate * 40)}px` }} />}
        {t("stats.rate", { percent: share(rate, locale), count: count(bad) })}
      </td>
      <td>{time(row.p50_ns)}</td>
      <td>{time(row.p95_ns)}</td>
      <td>{time(row.p99_ns)}</td>
      <td>{time(row.total_ns)}</td>
    </tr>
  );
}
