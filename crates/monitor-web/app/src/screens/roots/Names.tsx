import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { fetchNames } from "../../api/client.ts";
import type { NamedRoots } from "../../api/types.ts";
import { useAgain } from "../../data/useAgain.ts";
import { locale, t } from "../../i18n.ts";
import { steadyNames, usualNs } from "../../model/names.ts";
import { absolute, duration } from "../../model/time.ts";
import { announce } from "../../ui/announce.ts";
import { Button } from "../../ui/Button.tsx";
import { Counts } from "../../ui/Counts.tsx";
import { FilterField } from "../../ui/FilterField.tsx";
import { Head } from "../../ui/Head.tsx";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { Sparkline } from "../../ui/Sparkline.tsx";
import { StateGlyph, stateWord } from "../../ui/State.tsx";
import { Name } from "../../ui/Text.tsx";
import { Ago } from "../../ui/Time.tsx";
import { useNarrow } from "../../ui/useNarrow.ts";
import { useRowKeys } from "../../ui/useRowKeys.ts";
import { useRows } from "../../ui/useRows.ts";

const PAGE = 100;
/** Each mark is a click target of 24 px. */
const MOST_MARKS = 17;
const MOST_MARKS_NARROW = 12;
/** Minimum interval between two requests. */
const AGAIN_MS = 2000;

const columns = [
  ["task", "stats.column.name"],
  ["strip", "tasks.column.runs"],
  ["usual", "names.column.usual"],
  ["spark", "tasks.spark"],
  ["started", "tasks.column.started"],
  ["processes", "names.column.counts"],
] as const;

/** The names of runs: state, results and durations of the last runs of each. */
export function Names({ q, onFilter }: { q: string | undefined; onFilter: (q: string | undefined) => void }) {
  const query = useInfiniteQuery({
    queryKey: ["names", q ?? ""],
    queryFn: ({ pageParam, signal }) => fetchNames({ limit: PAGE, ...(q && { q }), ...(pageParam && { cursor: pageParam }) }, signal),
    initialPageParam: "",
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    staleTime: 0,
  });
  useAgain(["root"], query, AGAIN_MS);
  const fresh = query.data?.pages.flatMap((page) => page.names) ?? [];
  const scroller = useRef<HTMLDivElement>(null);
  // True if the reader has scrolled down, so that rows must not move.
  const [holds, setHolds] = useState(false);
  const shown = useRef<readonly string[]>([]);
  const { names, waiting } = steadyNames(fresh, holds ? shown.current : []);
  useEffect(() => {
    shown.current = names.map(({ name }) => name);
  });
  useEffect(() => {
    if (waiting > 0) announce("new", t("tasks.new", { count: waiting }));
  }, [waiting]);
  const narrow = useNarrow();
  const rowHeight = narrow ? 64 : 36;
  const headHeight = narrow ? 0 : 32;
  const virtual = useRows(scroller, { count: names.length, rowHeight, head: headHeight });
  useRowKeys(scroller, virtual, { count: names.length, rowHeight, head: headHeight });
  useEffect(() => {
    if (virtual.end >= names.length - 20 && query.hasNextPage && !query.isFetching) void query.fetchNextPage();
  });
  return (
    <>
      <Head title={t("names.title")}>
        <FilterField value={q} label={t("names.filter")} onChange={onFilter} />
      </Head>
      {query.error && <ProblemNotice error={query.error} onRetry={() => void query.refetch()} />}
      {names.length === 0 && !query.error && <p className="notice dim">{t(query.isPending ? "loading" : "tasks.none")}</p>}
      {names.length > 0 && (
        <div className="list">
          {waiting > 0 && (
            <Button className="new" onClick={() => virtual.scrollTo(0)}>
              {t("tasks.new", { count: waiting })}
            </Button>
          )}
          <div
            ref={scroller}
            className="names scroller"
            role="table"
            aria-label={t("tasks.by-name")}
            aria-rowcount={query.hasNextPage ? -1 : names.length + 1}
            onScroll={() => {
              virtual.onScroll();
              setHolds(virtual.top() > rowHeight);
            }}
            onScrollEnd={virtual.onScrollEnd}
          >
            <div className="named head" role="row" aria-rowindex={1}>
              {columns.map(([column, title]) => (
                <span key={column} role="columnheader" className={column}>
                  {t(title)}
                </span>
              ))}
            </div>
            <div className="canvas" role="rowgroup" style={{ height: virtual.height }}>
              {names.slice(virtual.first, virtual.end).map((of, at) => (
                <OneName key={of.name} of={of} index={virtual.first + at} top={virtual.topOf(virtual.first + at)} />
              ))}
            </div>
          </div>
        </div>
      )}
    </>
  );
}

function OneName({ of, index, top }: { of: NamedRoots; index: number; top: number }) {
  const oldestFirst = of.roots.slice(0, useNarrow() ? MOST_MARKS_NARROW : MOST_MARKS).toReversed();
  const newest = of.roots[0];
  const usual = usualNs(of.roots);
  return (
    <div className="named" role="row" aria-rowindex={index + 2} data-row={index} style={{ transform: `translateY(${top}px)` }} data-state={newest?.state}>
      <span role="cell" className="task">
        {newest && <StateGlyph state={newest.state} />}
        <Link to="/tasks" search={{ name: of.name }} className="title">
          <Name text={of.name === "" ? t("root.unnamed") : of.name} />
        </Link>
      </span>
      <span role="cell" className="strip" aria-label={t("tasks.strip", { count: of.roots.length })}>
        {oldestFirst.map((root) => {
          const words = [`<${root.number}>`, stateWord(root.state), root.elapsed_ns !== null && duration(root.elapsed_ns, locale), root.started_us !== null && absolute(root.started_us).slice(0, 19)];
          return (
            <Link key={root.root_id} to="/tasks/$root" params={{ root: root.root_id }} data-state={root.state} title={words.filter(Boolean).join(" · ")}>
              <span aria-hidden="true" />
              <span className="hidden">{words.slice(0, 2).join(" ")}</span>
            </Link>
          );
        })}
      </span>
      <span role="cell" className="usual number" title={t("names.usual.why")}>
        {usual !== undefined && usual > 0 && duration(usual, locale)}
      </span>
      <span role="cell" className="spark">
        <Sparkline values={oldestFirst.map((root) => root.elapsed_ns)} label={t("tasks.spark")} />
      </span>
      <span role="cell" className="started dim">
        <Ago timeUs={newest?.started_us ?? null} />
      </span>
      <span role="cell" className="processes">
        <Counts counts={of.counts} />
      </span>
    </div>
  );
}
