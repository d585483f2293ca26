import { useSearch } from "@tanstack/react-router";

/** What the address says: a tab, one alert, or what alerts are to be about. */
export function useAlertSearch(): { tab: string; alert: number | undefined; subject: string | undefined } {
  const { tab, alert, subject } = useSearch({ strict: false }) as Record<string, unknown>;
  const number = Number(alert);
  return {
    tab: typeof tab === "string" ? tab : "firing",
    alert: Number.isSafeInteger(number) && number > 0 ? number : undefined,
    subject: typeof subject === "string" ? subject : undefined,
  };
}
