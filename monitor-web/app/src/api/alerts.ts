/** Requests about alerts and heartbeats. */
import { client, unwrap } from "./client.ts";
import type { Alert, AlertDetail, AlertMessage, AlertRules, AlertTrial, AlertsPage, Heartbeats, Hushes } from "./types.ts";

export function fetchAlerts(query: { state?: string; cursor?: string; limit: number }, signal: AbortSignal): Promise<AlertsPage> {
  return unwrap(client.GET("/api/v1/alerts", { params: { query }, signal }));
}

export function fetchAlert(alert: number, signal: AbortSignal): Promise<AlertDetail> {
  return unwrap(client.GET("/api/v1/alerts/{alert}", { params: { path: { alert } }, signal }));
}

/** Says that whoever asks looks after it. */
export function acknowledgeAlert(alert: number): Promise<Alert> {
  return unwrap(client.POST("/api/v1/alerts/{alert}/ack", { params: { path: { alert } } }));
}

/** Says that it is over. */
export function resolveAlert(alert: number): Promise<Alert> {
  return unwrap(client.POST("/api/v1/alerts/{alert}/resolve", { params: { path: { alert } } }));
}

export function fetchRules(signal: AbortSignal): Promise<AlertRules> {
  return unwrap(client.GET("/api/v1/alerts/rules", { signal }));
}

/** What a rule would have told in the past days. */
export function tryRule(rule: string, days: number): Promise<AlertTrial> {
  return unwrap(client.GET("/api/v1/alerts/try", { params: { query: { rule, days } } }));
}

/** Sends a message by a channel, and waits for its answer. */
export function testChannel(channel: string): Promise<AlertMessage> {
  return unwrap(client.POST("/api/v1/alerts/channels/{channel}/test", { params: { path: { channel } } }));
}

export function fetchHushes(signal: AbortSignal): Promise<Hushes> {
  return unwrap(client.GET("/api/v1/alerts/hushes", { signal }));
}

/** Tells nobody of some alerts for a while, such as `2h`. */
export function hush(scope: string, length: string, why: string, isMaintenance: boolean): Promise<Hushes> {
  return unwrap(client.POST("/api/v1/alerts/hushes", { body: { scope, for: length, ...(why && { why }), ...(isMaintenance && { maintenance: true }) } }));
}

export async function endHush(hush: number): Promise<void> {
  const answer = await client.DELETE("/api/v1/alerts/hushes/{hush}", { params: { path: { hush } } });
  if (!answer.response.ok) await unwrap(Promise.resolve(answer));
}

export function fetchHeartbeats(signal: AbortSignal): Promise<Heartbeats> {
  return unwrap(client.GET("/api/v1/heartbeats", { signal }));
}
