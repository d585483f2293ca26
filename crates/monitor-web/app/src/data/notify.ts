/** Says by the system's notifications what has begun to fire. */
import { fetchAlerts } from "../api/alerts.ts";
import { loadPart, t } from "../i18n.ts";
import { visible } from "../model/text.ts";
import { alertWords } from "./alertWords.ts";

const TOLD = "monitor-notified";
/** So many alerts have a notification each; the others one together. */
const MOST = 4;
const LIMIT = 50;

/** Notifies of alerts with greater numbers than `after`: each once, whichever tab does it, and none that this tab shows. */
export async function notify(after: number): Promise<void> {
  const [{ alerts }] = await Promise.all([fetchAlerts({ state: "firing", limit: LIMIT }, AbortSignal.timeout(10_000)), loadPart("alerts")]);
  // Another tab may have been faster.
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
