/**
 * System notifications of new alerts, if the reader has enabled them in this browser. Their texts are loaded when the first notification is
 * due.
 */
import { alertsStore } from "../live/live.ts";

const KEY = "monitor-notify";

/** Returns true if this browser shows notifications of alerts, which must be enabled explicitly. */
export function isNotifying(): boolean {
  return localStorage.getItem(KEY) !== null && "Notification" in window && Notification.permission === "granted";
}

export async function setNotifying(isWanted: boolean): Promise<void> {
  if (isWanted && (await Notification.requestPermission()) === "granted") localStorage.setItem(KEY, "on");
  else localStorage.removeItem(KEY);
}

/** Shows notifications of alerts that begin while the page is open; returns a function that stops this. */
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
