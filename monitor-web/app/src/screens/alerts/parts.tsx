import { Link } from "@tanstack/react-router";
import { acknowledgeAlert, hush, resolveAlert } from "../../api/alerts.ts";
import type { Alert } from "../../api/types.ts";
import { t, wordText } from "../../i18n.ts";
import { visible } from "../../model/text.ts";
import { duration } from "../../model/time.ts";
import { locale } from "../../i18n.ts";
import { OperatorButton } from "../../ui/OperatorButton.tsx";

const SNOOZE = "2h";

export function AlertLink({ alert }: { alert: Alert }) {
  return (
    <Link to="/tasks/alerts" search={{ alert: alert.id }} className="link">
      {visible(alert.subject.slice(alert.subject.indexOf(":") + 1))}
    </Link>
  );
}

/** Why, in a few words: the cause, the exit code, the error. */
export function causeText({ cause, count, facts }: Alert): string {
  const code = facts.exit_code !== undefined && facts.exit_code !== 0 ? t("alerts.exit", { code: facts.exit_code }) : undefined;
  const times = count > 1 ? t("alerts.times", { count }) : undefined;
  return [wordText("alerts.cause", cause), times, code, facts.exit_meaning, facts.error ?? facts.text].filter((text) => text !== undefined).map((text) => visible(text)).join(" · ");
}

/** How long it lasted, or has lasted so far. */
export function lasted({ since_us, resolved_us }: Alert, nowUs: number): string {
  return duration(((resolved_us ?? nowUs) - since_us) * 1000, locale);
}

/** What may be done about an alert that fires. */
export function AlertButtons({ alert, act }: { alert: Alert; act: (deed: () => Promise<string | void>) => void }) {
  if (alert.state !== "firing") return null;
  const button = (text: string, deed: () => Promise<unknown>) => (
    <OperatorButton className="outlined" onClick={() => act(() => deed().then(() => undefined))}>
      {text}
    </OperatorButton>
  );
  return (
    <span className="deeds">
      {alert.acknowledged_by === null && button(t("alerts.ack"), () => acknowledgeAlert(alert.id))}
      {button(t("alerts.snooze"), () => hush(`alert:${alert.id}`, SNOOZE, "", false))}
      {button(t("alerts.resolve"), () => resolveAlert(alert.id))}
    </span>
  );
}
