import { Link } from "@tanstack/react-router";
import { acknowledgeAlert, hush, resolveAlert } from "../../api/alerts.ts";
import type { Alert } from "../../api/types.ts";
import { causeWords, subjectName } from "../../data/alertWords.ts";
import { locale, t, wordText } from "../../i18n.ts";
import { duration } from "../../model/time.ts";
import { OperatorButton } from "../../ui/OperatorButton.tsx";
import { StateMark } from "../../ui/StateMark.tsx";
import { Said } from "../../ui/Text.tsx";

const SNOOZE = "2h";

export function AlertLink({ alert }: { alert: Alert }) {
  return (
    <Link to="/tasks/alerts" search={{ alert: String(alert.id) }} className="link" translate="no">
      {subjectName(alert.subject)}
    </Link>
  );
}

/** The reason, and the cause in a few words: what happened, how often, exit code. */
export function Cause({ alert }: { alert: Alert }) {
  const said = alert.facts.error ?? alert.facts.text;
  if (said === undefined) return causeWords(alert);
  return (
    <>
      <span translate="no">
        <Said text={said} />
      </span>{" "}
      <span className="dim">{causeWords(alert)}</span>
    </>
  );
}

/** Returns the duration of an alert, up to now if it is active. */
export function lasted({ since_us, resolved_us }: Alert, nowUs: number): string {
  return duration(((resolved_us ?? nowUs) - since_us) * 1000, locale);
}

/** The mark of an alert's severity, or of its end. */
export function SeverityMark({ alert: { state, severity } }: { alert: Alert }) {
  const mark = state === "firing" ? severity : "succeeded";
  const words = state === "firing" ? wordText("alerts.severity", severity) : t("alerts.decision.resolved");
  return (
    <span className="state mark-only" data-state={mark} title={words}>
      <StateMark state={mark} />
      <span className="hidden">{words}</span>
    </span>
  );
}

/** Actions for an active alert. The first one is to acknowledge it, with the class `main`. */
export function AlertButtons({ alert, act, main = "outlined" }: { alert: Alert; act: (deed: () => Promise<string | void>) => void; main?: string }) {
  if (alert.state !== "firing") return null;
  const button = (text: string, className: string, deed: () => Promise<unknown>) => (
    <OperatorButton className={className} onClick={() => act(() => deed().then(() => undefined))}>
      {text}
    </OperatorButton>
  );
  return (
    <>
      {alert.acknowledged_by === null && button(t("alerts.ack"), main, () => acknowledgeAlert(alert.id))}
      {button(t("alerts.snooze"), "quiet", () => hush(`alert:${alert.id}`, SNOOZE, "", false))}
      {button(t("alerts.resolve"), "quiet", () => resolveAlert(alert.id))}
    </>
  );
}
