import { useQuery } from "@tanstack/react-query";
import { useEffect, useState, useSyncExternalStore } from "react";
import { fetchCauses } from "../../api/client.ts";
import { liveRootsStore } from "../../data/live-roots.ts";
import { count, t } from "../../i18n.ts";
import { hourBefore, searchOf } from "../../model/causes.ts";
import { type Filters, withFilter } from "../../model/filters.ts";
import { brief, visible } from "../../model/text.ts";
import { Ago } from "../../ui/Time.tsx";
import "./causes.css";

const HOURS = 24;
const FEW = 3;
const MOST = 20;
/** How long at least between two looks at what has failed. */
const AGAIN_MS = 5000;

/** What runs failed by in the last day, each kind once; nothing at all if none failed. A click narrows the list to it. */
export function Causes({ filters, onChange }: { filters: Filters; onChange: (filters: Filters) => void }) {
  const [all, setAll] = useState(false);
  const from = hourBefore(Date.now() * 1000, HOURS);
  const query = useQuery({ queryKey: ["causes", from], queryFn: ({ signal }) => fetchCauses({ from, limit: MOST }, signal), placeholderData: (before) => before });
  const version = useSyncExternalStore(liveRootsStore.subscribe, liveRootsStore.get);
  useEffect(() => {
    const timer = setTimeout(() => void query.refetch(), AGAIN_MS);
    return () => clearTimeout(timer);
  }, [version]);
  const causes = query.data?.causes ?? [];
  if (causes.length === 0) return null;
  const choose = (search: string) => {
    const failed = withFilter(filters, "state", "failed");
    onChange(withFilter(failed, "q", filters.q === search ? "" : search));
  };
  return (
    <section className="causes" aria-label={t("causes.title")}>
      <h2>{t("causes.title")}</h2>
      <ul>
        {causes.slice(0, all ? MOST : FEW).map((cause) => {
          const search = searchOf(cause.shape);
          const names = cause.names.slice(0, FEW).map(visible).join(", ");
          const more = cause.name_count - Math.min(FEW, cause.names.length);
          return (
            <li key={cause.shape}>
              <button type="button" aria-pressed={search !== "" && filters.q === search} title={visible(cause.message)} disabled={search === ""} onClick={() => choose(search)}>
                <span className="number">{count(cause.count)} ×</span>
                <span className="shape">{visible(brief(cause.shape))}</span>
                {cause.new && <span className="mark">{t("causes.new")}</span>}
                <span className="dim names">{more > 0 ? t("causes.more-names", { names, count: more }) : names}</span>
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
          );
        })}
      </ul>
      {causes.length > FEW && (
        <button type="button" className="more" aria-expanded={all} onClick={() => setAll(!all)}>
          {all ? t("causes.fewer") : t("causes.all", { count: causes.length })}
        </button>
      )}
    </section>
  );
}
