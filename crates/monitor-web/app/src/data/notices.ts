/** Notifications of new alerts by the system, for whoever asked for them in this browser. What they say is read when the first one is due. */
import { alertsStore } from "../live/live.ts";

const KEY = "monitor-notify";

/** Whether this browser notifies of alerts: it does so only after somebody wanted it. */
export function isNotifying(): boolean {
  return localStorage.getItem(KEY) !== null && "Notification" in window && Notification.permission === "granted";
}

export async function setNotifying(isWanted: boolean): Promise<void> {
  if (isWanted && (await Notification.requestPermission()) === "granted") localStorage.setItem(KEY, "on");
  else localStorage.removeItem(KEY);
}

/** Notifies of alerts that begin while the page is open; returns what ends that. */
export function watchAlerts(): () => void {
  let seen = alertsStore.get()?.newest;
  const end = alertsStore.subscribe(() => {
    const newest = alertsStore.get()?.newest ?? 0;
    const before = seen ?? newest;
    seen = Math.max(before, newest);
    if (newest > before && isNotifying()) void import("./notify.ts").then(({ notify }) => notify(before));
  });
  return () => void end();
}
