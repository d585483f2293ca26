import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { fetchProcesses } from "../../api/client.ts";
import { locale, t } from "../../i18n.ts";
import { durationsOf, isWithin, startsOf, type Within } from "../../model/stats.ts";
import { absolute, duration } from "../../model/time.ts";
import { Button } from "../../ui/Button.tsx";
import { Icon, ICONS } from "../../ui/Icon.tsx";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { StateLabel } from "../../ui/State.tsx";
import { Name } from "../../ui/Text.tsx";
import { Duration } from "../../ui/Time.tsx";

const PAGE = 1000;
/** Maximum number of listed processes, and of searched pages, before the reader has to request more. */
const AT_FIRST = 50;
const MOST_PAGES = 20;

/** Only processes in a box of the heat map; `count` is their number. */
export function Runs({ within, count, name, onClose }: { within: Within; count: number; name: string | undefined; onClose: () => void }) {
  const [asked, setAsked] = useState(1);
  const query = useInfiniteQuery({
    queryKey: ["within", within, name],
    queryFn: async ({ pageParam, signal }) => {
      const page = await fetchProcesses({ ...startsOf(within), limit: PAGE, ...(name !== undefined && { name }), ...(pageParam && { cursor: pageParam }) }, signal);
      return { found: page.processes.filter((process) => isWithin(within, process)), next: page.next_cursor };
    },
    initialPageParam: "",
    getNextPageParam: (page) => page.next ?? undefined,
  });
  const found = query.data?.pages.flatMap((page) => page.found) ?? [];
  // Pages are searched until there is something to look at, or nothing more in the box; but not all that there are.
  useEffect(() => {
    const [least, pages] = [Math.min(AT_FIRST * asked, count), MOST_PAGES * asked];
    if (found.length < least && (query.data?.pages.length ?? 0) < pages && query.hasNextPage && !query.isFetching && !query.isError) void query.fetchNextPage();
  });
  const [from, to] = durationsOf(within);
  return (
    <section className="runs">
      <h2>
        {t("stats.runs", { from: duration(from, locale), to: duration(to, locale) })}{" "}
        <Button aria-label={t("panel.close")} onClick={onClose}>
          <Icon d={ICONS.close} />
        </Button>
      </h2>
      {query.error && <ProblemNotice error={query.error} onRetry={() => void query.refetch()} />}
      <ul>
        {found.map((process) => (
          <li key={`${process.root_id} ${process.id}`}>
            <StateLabel state={process.state} />
            <Link className="link" to="/tasks/$root" params={{ root: process.root_id }} search={{ process: process.id }}>
              <Name text={process.name} />
            </Link>
            <Duration process={process} />
            <span className="dim number">{process.ended_us !== null && absolute(process.ended_us).slice(0, 19)}</span>
          </li>
        ))}
      </ul>
      {query.isFetching && <p className="dim">{t("loading")}</p>}
      {!query.isFetching && found.length === 0 && !query.hasNextPage && !query.error && <p className="dim">{t("stats.runs.none")}</p>}
      {query.hasNextPage && !query.isFetching && found.length < count && (
        <Button className="outlined" onClick={() => setAsked(asked + 1)}>
          {t("stats.runs.more", { count: (query.data?.pages.length ?? 0) * PAGE })}
        </Button>
      )}
    </section>
  );
}
