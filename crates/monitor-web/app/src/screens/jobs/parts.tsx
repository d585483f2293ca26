import { count, locale, t, wordText } from "../../i18n.ts";
import { OUTCOMES, jobState, outcomesOf, totalOf } from "../../model/jobs.ts";
import { visible } from "../../model/text.ts";
import { duration } from "../../model/time.ts";
import { StateMark } from "../../ui/StateMark.tsx";
import { Tabs } from "../../ui/Tabs.tsx";

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
export function JobTabs({ tab }: { tab: string | undefined }) {
  const tabs = [undefined, "hosts"].map((name) => ({ text: t(name === undefined ? "jobs.list" : "jobs.hosts"), search: name === undefined ? {} : { tab: name }, isCurrent: tab === name }));
  return <Tabs label={t("jobs.title")} to="/tasks/jobs" tabs={tabs} />;
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
