import { useSearch } from "@tanstack/react-router";

/** What the address says: a tab, or one alert. */
export function useAlertSearch(): { tab: string; alert: number | undefined } {
  const { tab, alert } = useSearch({ strict: false }) as Record<string, unknown>;
  const number = Number(alert);
  return { tab: typeof tab === "string" ? tab : "firing", alert: Number.isSafeInteger(number) && number > 0 ? number : undefined };
}
