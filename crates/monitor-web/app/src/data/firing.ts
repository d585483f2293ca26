/** The active alerts in a few words. */
import { fetchAlerts } from "../api/alerts.ts";
import { loadPart } from "../i18n.ts";
import { alertWords, subjectName } from "./alertWords.ts";

const LIMIT = 50;

export interface FiringAlert {
  id: number;
  severity: string;
  name: string;
  words: string;
}

export async function fetchFiring(signal: AbortSignal): Promise<FiringAlert[]> {
  const [{ alerts }] = await Promise.all([fetchAlerts({ state: "firing", limit: LIMIT }, signal), loadPart("alerts")]);
  return alerts.map((alert) => ({ id: alert.id, severity: alert.severity, name: subjectName(alert.subject), words: alertWords(alert) }));
}
