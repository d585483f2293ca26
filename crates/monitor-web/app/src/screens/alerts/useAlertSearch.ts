import { useSearch } from "@tanstack/react-router";

/** Returns the parameters in the address: a tab, an alert, or a subject. */
export function useAlertSearch(): { tab: string; alert: number | undefined; subject: string | undefined } {
  const { tab, alert, subject } = useSearch({ strict: false }) as Record<string, unknown>;
  const number = Number(alert);
  return {
    tab: typeof tab === "string" ? tab : "firing",
    alert: Number.isSafeInteger(number) && number > 0 ? number : undefined,
    subject: typeof subject === "string" ? subject : undefined,
  };
}
