/** Shows system notifications of new alerts. */
import { fetchAlerts } from "../api/alerts.ts";
import { loadPart, t } from "../i18n.ts";
import { visible } from "../model/text.ts";
import { alertWords } from "./alertWords.ts";

const TOLD = "monitor-notified";
/** Maximum number of separate notifications; further alerts share one. */
const MOST = 4;
const LIMIT = 50;

/**
 * Shows notifications of alerts with numbers greater than `after`. Each alert is notified once across all tabs, and not if this tab shows
 * it.
 */
export async function notify(after: number): Promise<void> {
  const [{ alerts }] = await Promise.all([fetchAlerts({ state: "firing", limit: LIMIT }, AbortSignal.timeout(10_000)), loadPart("alerts")]);
  // Another tab may already have notified these alerts.
  const told = Math.max(after, Number(localStorage.getItem(TOLD)) || 0);
  const fresh = alerts.filter(({ id }) => id > told);
  localStorage.setItem(TOLD, String(Math.max(told, ...fresh.map(({ id }) => id))));
  if (document.visibilityState === "visible" && location.pathname === "/tasks/alerts") return;
  for (const alert of fresh.slice(0, MOST)) show(visible(alert.subject), alertWords(alert), `alert-${alert.id}`, `/tasks/alerts?alert=${alert.id}`);
  if (fresh.length > MOST) show(t("alerts.title"), t("alerts.notify.more", { count: fresh.length - MOST }), "alerts", "/tasks/alerts");
}

function show(title: string, body: string, tag: string, address: string): void {
  const notification = new Notification(title, { body, tag, icon: "/favicon.svg" });
  notification.onclick = () => {
    window.focus();
    location.assign(address);
  };
}
