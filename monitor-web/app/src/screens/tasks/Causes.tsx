import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef, useState, useSyncExternalStore } from "react";
import { fetchCauses } from "../../api/client.ts";
import type { CausesPage } from "../../api/types.ts";
import { liveRootsStore } from "../../data/live-roots.ts";
import { count, t } from "../../i18n.ts";
import { hourBefore, searchOf } from "../../model/causes.ts";
import { type Filters, withFilter } from "../../model/filters.ts";
import { brief, visible } from "../../model/text.ts";
import { Ago } from "../../ui/Time.tsx";
import "./causes.css";

const HOURS = 24;
const FEW = 3;
const MOST = 50;
/** How long at least between two looks at what has failed. */
const AGAIN_MS = 5000;

type Cause = CausesPage["causes"][number];

interface Props {
  filters: Filters;
  onChange: (filters: Filters) => void;
}

/**
 * What runs failed by in the last day, each kind once: a line that is always there, so that nothing moves when something fails. A click
 * narrows the list to a kind; all of them, with their names and times, open above the list.
 */
export function Causes({ filters, onChange }: Props) {
  const [open, setOpen] = useState(false);
  const from = hourBefore(Date.now() * 1000, HOURS);
  const query = useQuery({ queryKey: ["causes", from], queryFn: ({ signal }) => fetchCauses({ from, limit: MOST }, signal), placeholderData: (before) => before });
  useAgain(() => void query.refetch());
  const causes = query.data?.causes ?? [];
  const choose = (cause: Cause) => {
    const search = searchOf(cause.shape);
    setOpen(false);
    onChange(filters.q === search ? withFilter(withFilter(filters, "q", ""), "state", "") : withFilter(withFilter(filters, "state", "failed"), "q", search));
  };
  const isChosen = (cause: Cause) => filters.q !== undefined && filters.q === searchOf(cause.shape);
  return (
    <section className="causes" aria-label={t("causes.title")} onKeyDown={(event) => event.key === "Escape" && setOpen(false)}>
      <span className="dim">{query.data && causes.length === 0 ? t("causes.none") : t("causes.title")}</span>
      {causes.slice(0, FEW).map((cause) => (
        <button key={cause.shape} type="button" className="cause" translate="no" aria-pressed={isChosen(cause)} title={visible(cause.message)} onClick={() => choose(cause)}>
          <Kind cause={cause} />
        </button>
      ))}
      {causes.length > 0 && (
        <button type="button" className="all" aria-expanded={open} onClick={() => setOpen(!open)}>
          {t("causes.all", { count: causes.length })}
        </button>
      )}
      {open && (
        <ul>
          {causes.map((cause) => (
            <li key={cause.shape}>
              <button type="button" translate="no" aria-pressed={isChosen(cause)} title={visible(cause.message)} onClick={() => choose(cause)}>
                <Kind cause={cause} />
                <span className="dim names">{namesOf(cause)}</span>
                <span className="dim times">
                  <Ago timeUs={cause.first_us} />
                  {cause.last_us !== cause.first_us && (
                    <>
                      {" – "}
                      <Ago timeUs={cause.last_us} />
                    </>
                  )}
                </span>
              </button>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function Kind({ cause }: { cause: Cause }) {
  return (
    <>
      <span className="number">{count(cause.count)} ×</span> <span className="shape">{visible(brief(cause.shape))}</span>
      {cause.new && <span className="mark"> {t("causes.new")}</span>}
    </>
  );
}

function namesOf({ names, name_count }: Cause): string {
  const few = names.slice(0, FEW).map(visible).join(", ");
  const more = name_count - Math.min(FEW, names.length);
  return more > 0 ? t("causes.more-names", { names: few, count: more }) : few;
}

/** Calls `read` some time after roots have changed; what changes meanwhile does not put it off. */
function useAgain(read: () => void): void {
  const version = useSyncExternalStore(liveRootsStore.subscribe, liveRootsStore.get);
  const seen = useRef(version);
  const newest = useRef(read);
  newest.current = read;
  const isDue = version !== seen.current;
  useEffect(() => {
    if (!isDue) return;
    const timer = setTimeout(() => {
      seen.current = liveRootsStore.get();
      newest.current();
    }, AGAIN_MS);
    return () => clearTimeout(timer);
  }, [isDue]);
}
