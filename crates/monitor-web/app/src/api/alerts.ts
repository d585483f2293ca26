/** Requests about alerts and heartbeats. */
import { client, unwrap } from "./client.ts";
import type { Alert, AlertDetail, AlertMessage, AlertPreview, AlertRules, AlertTrials, AlertsPage, HeartbeatDefinition, HeartbeatKey, Heartbeats, Hushes } from "./types.ts";

export function fetchAlerts(query: { state?: string; subject?: string; cursor?: string; limit: number }, signal: AbortSignal): Promise<AlertsPage> {
  return unwrap(client.GET("/api/v1/alerts", { params: { query }, signal }));
}

export function fetchAlert(alert: number, signal: AbortSignal): Promise<AlertDetail> {
  return unwrap(client.GET("/api/v1/alerts/{alert}", { params: { path: { alert } }, signal }));
}

/** Acknowledges an alert: the user takes care of it. */
export function acknowledgeAlert(alert: number): Promise<Alert> {
  return unwrap(client.POST("/api/v1/alerts/{alert}/ack", { params: { path: { alert } } }));
}

/** Marks an alert as resolved. */
export function resolveAlert(alert: number): Promise<Alert> {
  return unwrap(client.POST("/api/v1/alerts/{alert}/resolve", { params: { path: { alert } } }));
}

export function fetchRules(signal: AbortSignal): Promise<AlertRules> {
  return unwrap(client.GET("/api/v1/alerts/rules", { signal }));
}

/** Returns the messages that each active rule would have sent in the past days. */
export function fetchTrials(days: number, signal: AbortSignal): Promise<AlertTrials> {
  return unwrap(client.GET("/api/v1/alerts/trials", { params: { query: { days } }, signal }));
}

/** Returns the messages that draft rules, in the format of alerts.toml, would have sent. */
export function tryDraft(toml: string, days: number): Promise<AlertTrials> {
  return unwrap(client.POST("/api/v1/alerts/trials", { body: { toml, days } }));
}

/** Returns the latest alert as a channel would format it. */
export function previewChannel(channel: string): Promise<AlertPreview> {
  return unwrap(client.POST("/api/v1/alerts/channels/{channel}/preview", { params: { path: { channel } } }));
}

/** Sends a test message through a channel, and waits for the result. */
export function testChannel(channel: string): Promise<AlertMessage> {
  return unwrap(client.POST("/api/v1/alerts/channels/{channel}/test", { params: { path: { channel } } }));
}

export function fetchHushes(signal: AbortSignal): Promise<Hushes> {
  return unwrap(client.GET("/api/v1/alerts/hushes", { signal }));
}

/** Mutes the alerts of a scope for a duration such as `2h`. */
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

/** Adds a heartbeat. Its key is only returned by this request. */
export function addHeartbeat(definition: HeartbeatDefinition): Promise<HeartbeatKey> {
  return unwrap(client.POST("/api/v1/heartbeats", { body: definition }));
}

/** Replaces the key of a heartbeat. The new key is only returned by this request; the old key stays valid for one day. */
export function rollHeartbeat(name: string): Promise<HeartbeatKey> {
  return unwrap(client.POST("/api/v1/heartbeats/{name}/roll", { params: { path: { name } }, body: {} }));
}

export async function deleteHeartbeat(name: string): Promise<void> {
  const answer = await client.DELETE("/api/v1/heartbeats/{name}", { params: { path: { name } } });
  if (!answer.response.ok) await unwrap(Promise.resolve(answer));
}
