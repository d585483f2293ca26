import type { Alert } from "../../api/types.ts";
import { t, wordText } from "../../i18n.ts";
import { visible } from "../../model/text.ts";

/** To whom an alert was sent, each with a mark of whether the message arrived, and who has acknowledged it. */
export function Deliveries({ alert }: { alert: Alert }) {
  const messages = alert.deliveries ?? [];
  return (
    <span className="deliveries">
      {alert.acknowledged_by !== null && (
        <span>
          {t("alerts.acked")} <span translate="no">{visible(alert.acknowledged_by)}</span>
        </span>
      )}
      {messages.map(({ id, channel, address, state, answer }) => (
        <span key={id} data-message={state} title={[wordText("alerts.message", state), answer ?? ""].filter(Boolean).map(visible).join(": ")}>
          <span translate="no">{visible(address ?? channel ?? "")}</span> <span aria-hidden="true">{MARKS[state] ?? ""}</span>
          <span className="hidden">{wordText("alerts.message", state)}</span>
          {state === "undelivered" && answer != null && (
            <span translate="no"> {visible(answer)}</span>
          )}
        </span>
      ))}
    </span>
  );
}

const MARKS: Readonly<Record<string, string>> = { sent: "✓", undelivered: "✗", waiting: "…" };
