import { useQuery } from "@tanstack/react-query";
import { type CSSProperties, useEffect, useRef, useState } from "react";
import { fetchCauses } from "../../api/client.ts";
import { useAgain } from "../../data/useAgain.ts";
import { count, locale, t } from "../../i18n.ts";
import { type Cause, commonest, hourBefore, keyOf, searchOf } from "../../model/causes.ts";
import { type Filters, withFilter } from "../../model/filters.ts";
import { brief, visible } from "../../model/text.ts";
import { ago } from "../../model/time.ts";
import { Button } from "../../ui/Button.tsx";
import { onTick } from "../../ui/now.ts";
import { Ago } from "../../ui/Time.tsx";
import { seeCause, seenCauses } from "./seen.ts";
import "./causes.css";

const HOURS = 24;
const MOST_LINES = 3;
const MOST_NAMES = 3;
const MOST = 50;
/** Minimum interval between two requests. */
const AGAIN_MS = 5000;

export interface CauseList {
  causes: readonly Cause[];
  /** True if the causes have been read, or the request failed. */
  isRead: boolean;
}

/** Reads the causes of failures in the last day, most recent first. */
export function useCauses(): CauseList {
  const from = hourBefore(Date.now() * 1000, HOURS);
  const query = useQuery({ queryKey: ["causes", from], queryFn: ({ signal }) => fetchCauses({ from, limit: MOST }, signal), placeholderData: (before) => before, staleTime: 0 });
  useAgain(["root"], query, AGAIN_MS);
  return { causes: query.data?.causes ?? [], isRead: !query.isPending };
}

interface Props {
  list: CauseList;
  filters: Filters;
  onChange: (filters: Filters) => void;
}

/**
 * Failures by cause: a line for each of the most common, and all of them on request. A click filters the list of runs by a cause. The
 * height stays constant, so that no row moves when a failure is added; the total shows later causes.
 */
export function Causes({ list: { causes }, filters, onChange }: Props) {
  const [open, setOpen] = useState(false);
  const lines = useRef(Math.min(MOST_LINES, causes.length)).current;
  const [seen, setSeen] = useState(seenCauses);
  // Causes of one shape differ in their names.
  const nameIn = (cause: Cause) => (causes.some((other) => other !== cause && other.shape === cause.shape) ? (cause.names[0] ?? "") : "");
  const isChosen = (cause: Cause) => filters.q !== undefined && filters.q === searchOf(cause.shape) && [filters.name, ""].includes(nameIn(cause));
  const choose = (cause: Cause) => {
    setOpen(false);
    setSeen(seeCause(cause));
    const search = { q: searchOf(cause.shape), state: "failed", ...(nameIn(cause) !== "" && { name: nameIn(cause) }) };
    const none = (of: Filters) => (Object.keys(search) as (keyof Filters)[]).reduce((rest, key) => withFilter(rest, key, ""), of);
    onChange(isChosen(cause) ? none(filters) : { ...filters, ...search });
  };
  const rows = (shown: readonly Cause[]) =>
    shown.map((cause) => (
      <li key={keyOf(cause)}>
        <Button translate="no" aria-pressed={isChosen(cause)} title={visible(cause.message)} onClick={() => choose(cause)}>
          <Line cause={cause} isNew={cause.new && !seen.has(keyOf(cause))} />
        </Button>
      </li>
    ));
  return (
    <section className="causes" style={{ "--lines": lines } as CSSProperties} aria-label={t("causes.title")} onKeyDown={(event) => event.key === "Escape" && setOpen(false)}>
      <h2 className="dim">{t(causes.length === 0 ? "causes.none" : "causes.title")}</h2>
      {causes.length > 0 && (
        <Button className="all" data-spare={causes.length <= lines} aria-expanded={open} onClick={() => setOpen(!open)}>
          {t("causes.all", { count: causes.length })}
        </Button>
      )}
      {lines > 0 && <ol className="few">{rows(commonest(causes, lines))}</ol>}
      {open && <ol className="every">{rows(causes)}</ol>}
    </section>
  );
}

function Line({ cause, isNew }: { cause: Cause; isNew: boolean }) {
  return (
    <>
      <span className="number">{count(cause.count)}</span>
      <span className="what">
        <span className="shape">{visible(brief(cause.shape))}</span>
        {isNew && <span className="mark">{t("causes.new")}</span>}
      </span>
      <span className="dim names">{namesOf(cause)}</span>
      <span className="dim times">
        <First of={cause} />
        <Ago timeUs={cause.last_us} />
      </span>
    </>
  );
}

/** First occurrence, if its text differs from the latest one. */
function First({ of: { first_us, last_us } }: { of: Cause }) {
  const element = useRef<HTMLSpanElement>(null);
  const isSame = (nowUs: number) => ago(first_us, nowUs, locale) === ago(last_us, nowUs, locale);
  useEffect(
    () =>
      onTick("slow", (nowUs) => {
        if (element.current) element.current.hidden = isSame(nowUs);
      }),
    [first_us, last_us],
  );
  return (
    <span ref={element} className="first" hidden={isSame(Date.now() * 1000)}>
      <Ago timeUs={first_us} /> –{" "}
    </span>
  );
}

function namesOf({ names, name_count }: Cause): string {
  const few = names.slice(0, MOST_NAMES).map(visible).join(", ");
  const more = name_count - Math.min(MOST_NAMES, names.length);
  return more > 0 ? t("causes.more-names", { names: few, count: more }) : few;
}
