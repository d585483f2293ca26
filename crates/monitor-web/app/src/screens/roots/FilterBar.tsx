import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { fetchRoots, fetchStatus } from "../../api/client.ts";
import type { Counts } from "../../api/types.ts";
import { useWorker } from "../../data/workers/useWorker.ts";
import { count, t } from "../../i18n.ts";
import { type Filters, isFiltered, SINCE, withFilter } from "../../model/filters.ts";
import { STATES } from "../../model/state.ts";
import { visible } from "../../model/text.ts";
import { filterText, isWorkerId, withText } from "../../model/filter-text.ts";
import { Button } from "../../ui/Button.tsx";
import { Icon, ICONS } from "../../ui/Icon.tsx";
import { Input } from "../../ui/Input.tsx";
import { stateWord } from "../../ui/State.tsx";
import { StateMark } from "../../ui/StateMark.tsx";
import { useSlash } from "../../ui/useSlash.ts";
import { SavedFilters } from "./SavedFilters.tsx";

interface Props {
  filters: Filters;
  onChange: (filters: Filters) => void;
}

/** Number of runs by state, as text, if no other filter is set. */
export interface StateCounts {
  /** True if they have been read, or the request failed. */
  isRead: boolean;
  total?: string;
  of?: Readonly<Record<(typeof TABS)[number], string>>;
}

/** Tabs for the states, and one field for all other filters. `/` focuses the field; the next Tab reaches the first row. */
export function FilterBar({ filters, counts, onChange }: Props & { counts: StateCounts }) {
  const state = (value: string) => onChange(withFilter(filters, "state", value));
  return (
    <div className="filters" role="search">
      <div className="states" role="group" aria-label={t("tasks.filter.state")}>
        <Button aria-pressed={filters.state === undefined} onClick={() => state("")}>
          {t("tasks.all")} {counts.total !== undefined && <span className="number">{counts.total}</span>}
        </Button>
        {TABS.map((each) => (
          <Button
            key={each}
           
            data-state={each}
            data-none={counts.of?.[each] === "0" || undefined}
            aria-pressed={filters.state === each}
            onClick={() => state(filters.state === each ? "" : each)}
          >
            <StateMark state={each} /> {stateWord(each)} {counts.of && counts.of[each] !== "0" && <span className="number">{counts.of[each]}</span>}
          </Button>
        ))}
      </div>
      {filters.worker !== undefined && isWorkerId(filters.worker) && <OfWorker id={filters.worker} onRemove={() => onChange(withFilter(filters, "worker", ""))} />}
      {isFiltered(filters) && (
        <Button className="clear" onClick={() => onChange({})}>
          {t("tasks.filter.clear")}
        </Button>
      )}
      <Since filters={filters} onChange={onChange} />
      <SavedFilters filters={filters} onChange={onChange} />
      <FilterLine filters={filters} onChange={onChange} />
    </div>
  );
}

/** States that need attention are first. */
const TABS = ["failed", "lost", "retrying", "running", "pending", "succeeded", "cancelled"] as const;

/** Maximum age of the runs, or the time at which the list begins. */
function Since({ filters, onChange }: Props) {
  const [asks, setAsks] = useState(false);
  const hasTime = asks || filters.at !== undefined;
  const choose = (value: string) => {
    setAsks(value === "at");
    onChange(withFilter(withFilter(filters, "at", ""), "since", value === "at" ? "" : value));
  };
  return (
    <>
      <select className="since" aria-label={t("tasks.since")} value={hasTime ? "at" : (filters.since ?? "")} onChange={(event) => choose(event.target.value)}>
        <option value="">{t("tasks.since.any")}</option>
        {(Object.keys(SINCE) as (keyof typeof SINCE)[]).map((each) => (
          <option key={each} value={each}>
            {t(`tasks.since.${each}`)}
          </option>
        ))}
        <option value="at">{t("tasks.at.go")}</option>
      </select>
      {hasTime && <Time key={filters.at} at={filters.at} onChange={(at) => onChange(withFilter(filters, "at", at))} />}
    </>
  );
}

/** A time in the reader's time zone; the address contains it in UTC. */
function Time({ at, onChange }: { at: string | undefined; onChange: (at: string) => void }) {
  const local = (text: string) => {
    const time = new Date(text);
    return new Date(time.getTime() - time.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
  };
  const [text, setText] = useState(at === undefined ? "" : local(at));
  const take = () => {
    const time = Date.parse(text);
    if (!Number.isNaN(time)) onChange(`${new Date(time).toISOString().slice(0, 16)}Z`);
  };
  return (
    <Input
      type="datetime-local"
      className="at"
      aria-label={t("tasks.at")}
      title={t("tasks.at.why")}
      autoFocus={at === undefined}
      value={text}
      onChange={(event) => setText(event.target.value)}
      onBlur={take}
      onKeyDown={(event) => event.key === "Enter" && take()}
    />
  );
}

const COUNTS_MS = 3000;

/** Above this number, runs that wait for their next attempt are not counted exactly. */
const MOST_RETRYING = 100;

export function useCounts({ state: _, ...rest }: Filters): StateCounts {
  const often = { refetchInterval: COUNTS_MS, staleTime: 0 };
  const isWanted = !isFiltered(rest);
  const status = useQuery({ queryKey: ["status"], queryFn: ({ signal }) => fetchStatus(signal), enabled: isWanted, ...often });
  const roots = isWanted ? status.data?.roots : undefined;
  // The status includes them in its number of other states.
  const mayRetry = (roots?.other ?? 0) > 0;
  const found = useQuery({ queryKey: ["retrying"], queryFn: ({ signal }) => fetchRoots({ state: "retrying", limit: MOST_RETRYING }, signal), enabled: mayRetry, ...often });
  if (!roots) return { isRead: !isWanted || !status.isPending };
  const retrying = mayRetry ? found.data : undefined;
  const total = Object.values(roots).reduce((sum, each) => sum + each, 0);
  const of = { ...countsOf(roots), retrying: `${count(retrying?.roots.length ?? 0)}${retrying?.next_cursor ? "+" : ""}` };
  return { isRead: !mayRetry || !found.isPending, total: count(total), of };
}

function countsOf(roots: Counts): Record<(typeof STATES)[number], string> {
  return Object.fromEntries(STATES.map((state) => [state, count(roots[state])])) as Record<(typeof STATES)[number], string>;
}

/** Shows that the list is limited to one worker; the filter can be removed here. */
function OfWorker({ id, onRemove }: { id: string; onRemove: () => void }) {
  const worker = useWorker(id);
  const name = worker ? `${worker.program} ${worker.pid > 0 ? `${worker.pid} ` : ""}· ${worker.hostname}` : id.slice(0, 8);
  return (
    <Button className="outlined" onClick={onRemove}>
      {t("tasks.filter.worker", { worker: visible(name) })} <Icon d={ICONS.close} />
    </Button>
  );
}

const TYPING_MS = 250;

/** Text field of the filters. It takes effect shortly after the last key press. */
function FilterLine({ filters, onChange }: Props) {
  const [text, setText] = useState(() => filterText(filters));
  const field = useRef<HTMLInputElement>(null);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  // The text is merged into the filters that are current when it takes effect.
  const newest = useRef({ filters, onChange, text });
  newest.current = { filters, onChange, text };
  // Filters that this field requested last. The user may continue typing before they arrive.
  const asked = useRef<string>(undefined);
  useSlash(field);
  useEffect(() => () => clearTimeout(timer.current), []);
  // The address may change by other means: Back, a link, "clear". The typed text stays while it has the same meaning.
  const key = JSON.stringify(filters);
  useEffect(() => {
    if (filterText(filters) === asked.current || JSON.stringify(withText(filters, newest.current.text)) === key) return;
    clearTimeout(timer.current);
    asked.current = undefined;
    setText(filterText(filters));
  }, [key]);
  const type = (value: string) => {
    setText(value);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      const wanted = withText(newest.current.filters, value);
      asked.current = filterText(wanted);
      newest.current.onChange(wanted);
    }, TYPING_MS);
  };
  return (
    <Input
      ref={field}
      type="search"
      className="field"
      aria-label={t("tasks.filter.line")}
      title={t("tasks.filter.why")}
      placeholder={`${t("tasks.filter.line")}  /`}
      value={text}
      onChange={(event) => type(event.target.value)}
    />
  );
}
