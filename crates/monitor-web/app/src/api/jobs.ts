/** Requests about jobs on many hosts, and about the hosts. */
import { client, unwrap } from "./client.ts";
import type { operations } from "./schema.ts";
import type { CallbackDelivery, CallbacksPage, HostDefinition, Job, JobHost, JobHostsPage, JobOperate, JobPreview, JobRequest, JobResult, JobsPage, JobStarted, ManagedHost, SavedTargets, Targets } from "./types.ts";

export type JobsQuery = NonNullable<operations["get_jobs"]["parameters"]["query"]>;

/** Number of hosts in one answer. */
const HOSTS_LIMIT = 1000;
/** Number of callbacks that are shown. */
const CALLBACKS_LIMIT = 20;

export function fetchJobs(query: JobsQuery, signal: AbortSignal): Promise<JobsPage> {
  return unwrap(client.GET("/api/v1/jobs", { params: { query }, signal }));
}

export function fetchJob(id: number, signal: AbortSignal): Promise<Job> {
  return unwrap(client.GET("/api/v1/jobs/{id}", { params: { path: { id } }, signal }));
}

/** Returns the request that has started a job, without sensitive parts. */
export function fetchJobRequest(id: number, signal: AbortSignal): Promise<JobRequest> {
  return unwrap(client.GET("/api/v1/jobs/{id}/request", { params: { path: { id } }, signal }));
}

/** Returns the hosts of a step grouped by the shape of their output, and the messages in it. */
export function fetchJobResult(id: number, step: number, signal: AbortSignal): Promise<JobResult> {
  return unwrap(client.GET("/api/v1/jobs/{id}/result", { params: { path: { id }, query: { step } }, signal }));
}

/** Returns all hosts of a step, in the order of the targets. */
export async function fetchJobHosts(id: number, step: number, signal: AbortSignal): Promise<JobHost[]> {
  const hosts: JobHost[] = [];
  for (let after: number | null | undefined; ; ) {
    const query = { step, limit: HOSTS_LIMIT, ...(after != null && { after }) };
    const page: JobHostsPage = await unwrap(client.GET("/api/v1/jobs/{id}/hosts", { params: { path: { id }, query }, signal }));
    hosts.push(...page.hosts);
    after = page.next;
    if (after == null) return hosts;
  }
}

/** Returns the newest callbacks of a job. */
export async function fetchCallbacks(id: number, signal: AbortSignal): Promise<CallbackDelivery[]> {
  const page: CallbacksPage = await unwrap(client.GET("/api/v1/jobs/{id}/callbacks", { params: { path: { id }, query: { limit: CALLBACKS_LIMIT } }, signal }));
  return page.deliveries;
}

/** Returns a part of a host's output, from an offset. It is empty at the end. */
export async function fetchJobOutput(id: number, host: number, query: { step: number; attempt: number; offset: number }, signal: AbortSignal): Promise<Uint8Array> {
  const answer = await client.GET("/api/v1/jobs/{id}/hosts/{host}/output", { params: { path: { id, host: String(host) }, query }, parseAs: "arrayBuffer", signal });
  // An empty answer has no data.
  if (answer.response.ok && answer.data === undefined) return new Uint8Array();
  return new Uint8Array(await unwrap<ArrayBuffer>(Promise.resolve(answer)));
}

/** Returns the address of a host's output, for a download. */
export function jobOutputAddress(id: number, host: number, query: { step: number; attempt: number; limit: number }): string {
  return `/api/v1/jobs/${id}/hosts/${host}/output?step=${query.step}&attempt=${query.attempt}&limit=${query.limit}`;
}

export function previewJob(body: JobRequest, signal: AbortSignal): Promise<JobPreview> {
  return unwrap(client.POST("/api/v1/jobs", { params: { query: { preview: true } }, body, signal }));
}

export function startJob(body: JobRequest): Promise<JobStarted> {
  return unwrap(client.POST("/api/v1/jobs", { body }));
}

export function operateJob(id: number, body: JobOperate): Promise<Job> {
  return unwrap(client.POST("/api/v1/jobs/{id}/operate", { params: { path: { id } }, body }));
}

export function fetchHosts(signal: AbortSignal): Promise<{ hosts: ManagedHost[]; file_problem: string | null }> {
  return unwrap(client.GET("/api/v1/hosts", { signal }));
}

/** Adds a host, or changes the settings of the host with this name. */
export async function putHost(host: HostDefinition): Promise<void> {
  await unwrap(client.PUT("/api/v1/hosts", { body: { hosts: [host] } }));
}

export async function removeHost(id: number): Promise<void> {
  const answer = await client.DELETE("/api/v1/hosts/{id}", { params: { path: { id } } });
  if (!answer.response.ok) await unwrap(Promise.resolve(answer));
}

export function fetchSavedTargets(signal: AbortSignal): Promise<{ targets: SavedTargets[] }> {
  return unwrap(client.GET("/api/v1/targets", { signal }));
}

/** Saves targets, or replaces those with this name. */
export async function saveTargets(name: string, targets: Targets): Promise<void> {
  await unwrap(client.PUT("/api/v1/targets/{name}", { params: { path: { name } }, body: targets }));
}

export async function removeTargets(name: string): Promise<void> {
  const answer = await client.DELETE("/api/v1/targets/{name}", { params: { path: { name } } });
  if (!answer.response.ok) await unwrap(Promise.resolve(answer));
}
