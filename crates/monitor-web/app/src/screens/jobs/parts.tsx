import { Link } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { count, locale, t, wordText } from "../../i18n.ts";
import { OUTCOMES, jobState, outcomesOf, totalOf } from "../../model/jobs.ts";
import { visible } from "../../model/text.ts";
import { duration } from "../../model/time.ts";
import { CopyButton } from "../../ui/CopyButton.tsx";
import { StateMark } from "../../ui/StateMark.tsx";
import { useSlash } from "../../ui/useSlash.ts";

const SETTLED_MS = 300;

/** Returns the words of a status of a job or a step. */
function jobWord(status: number): string {
  return wordText("jobs.status", String(status), undefined, t("jobs.unknown", { status }));
}

/** Returns the words of a status of a host. */
export function hostWord(status: number): string {
  return wordText("jobs.host", String(status), undefined, t("jobs.unknown", { status }));
}

/** The mark and the words of a job's status. */
export function JobState({ status, isBrief = false }: { status: number; isBrief?: boolean }) {
  const isMark = isBrief && status === 3;
  return (
    <span className="state" data-state={jobState(status)} title={isMark ? jobWord(status) : undefined}>
      <StateMark state={jobState(status)} /> <span className={isMark ? "hidden" : undefined}>{jobWord(status)}</span>
    </span>
  );
}

/** Returns the times of a job or a host in the form that durations are shown from. */
export function timesOf({ started_us, ended_us }: { started_us: number | null; ended_us: number | null }) {
  return { state: ended_us === null ? "running" : "succeeded", started_us, ended_us, elapsed_ns: null };
}

/** Formats a duration in microseconds. */
export function durationOf(us: number): string {
  return duration(us * 1000, locale);
}

/** Shares of outcomes as a bar, with the numbers of those that need attention or are open. */
export function OutcomeBar({ counts }: { counts: Readonly<Record<string, number>> }) {
  const sums = outcomesOf(counts);
  const total = totalOf(counts);
  const shown = OUTCOMES.filter((outcome) => sums[outcome] > 0);
  const words = shown.map((outcome) => `${count(sums[outcome])} ${t(`jobs.outcome.${outcome}`)}`).join(", ");
  return (
    <span className="outcome-bar" title={words}>
      <span className="hidden">{words}</span>
      <span className="shares" aria-hidden="true">
        {shown.map((outcome) => (
          <i key={outcome} data-state={outcome} style={{ flexGrow: sums[outcome] / total }} />
        ))}
      </span>
      <span className="number" aria-hidden="true">
        {shown
          .filter((outcome) => outcome !== "succeeded" || shown.length === 1)
          .slice(0, 3)
          .map((outcome) => (
            <span key={outcome} className="state" data-state={outcome}>
              {count(sums[outcome])}
            </span>
          ))}
      </span>
    </span>
  );
}

/** The tabs of the screen. */
export function Tabs({ tab }: { tab: string | undefined }) {
  const tabs = [
    { name: undefined, text: t("jobs.list") },
    { name: "hosts", text: t("jobs.hosts") },
  ];
  return (
    <nav className="tabs" aria-label={t("jobs.title")}>
      {tabs.map(({ name, text }) => (
        <Link key={text} to="/tasks/jobs" search={name === undefined ? {} : { tab: name }} activeOptions={{ exact: true }} aria-current={tab === name ? "page" : undefined}>
          {text}
        </Link>
      ))}
    </nav>
  );
}

/** A field that filters a list after a short pause; `/` focuses it. */
export function FilterField({ value, label, onChange }: { value: string | undefined; label: string; onChange: (text: string | undefined) => void }) {
  const [text, setText] = useState(value ?? "");
  const field = useRef<HTMLInputElement>(null);
  useSlash(field);
  useEffect(() => {
    if (text === (value ?? "")) return;
    const timer = setTimeout(() => onChange(text || undefined), SETTLED_MS);
    return () => clearTimeout(timer);
  }, [text, value, onChange]);
  return <input ref={field} type="search" className="filter-field" value={text} placeholder={label} aria-label={label} onChange={(event) => setText(event.target.value)} />;
}

/** A complete command, with a button that copies it. */
export function CommandLine({ text }: { text: string }) {
  return (
    <div className="command">
      <pre className="mono" tabIndex={0} translate="no">
        {text}
      </pre>
      <CopyButton text={text} />
    </div>
  );
}

/** A sentence for each rule of the server that a job matches. */
export function Warnings({ of }: { of: string[] | undefined }) {
  if (of === undefined || of.length === 0) return null;
  return (
    <p className="warnings" translate="no">
      {of.map(visible).join("\n")}
    </p>
  );
}

/** Marks what comes from the server's file of hosts, which the page can't change. */
export function FromFile() {
  return (
    <span className="chip" title={t("jobs.from-file.why")}>
      {t("jobs.from-file")}
    </span>
  );
}
