/** Jobs on many hosts, as the API writes them. Times are Unix microseconds. */

export interface Targets {
  hosts?: string[];
  ips?: { ip: string; cloud_id?: number }[];
  groups?: string[];
  tags?: string;
}

export interface JobRequest {
  name?: string;
  request_id?: string;
  targets: Targets;
  account?: string;
  steps: { script: string; language: string; args?: string[]; timeout?: string }[];
  rolling?: { expression: string; mode: string; stop_after_failures?: string };
}

export interface JobStarted {
  job_id: number;
}

export interface PreviewedHost {
  host_id: number | null;
  name: string;
  reason?: string;
}

export interface JobPreview {
  able: PreviewedHost[];
  unable: PreviewedHost[];
  batches: number[];
}

export interface JobStep {
  step_id: number;
  name: string;
  status: number;
  attempt: number;
  batch: [number, number];
  started_us: number | null;
  ended_us: number | null;
  counts: Record<string, number>;
}

export interface Job {
  job_id: number;
  name: string;
  root_id: string;
  status: number;
  by: string;
  account: string | null;
  created_us: number;
  started_us: number | null;
  ended_us: number | null;
  steps: JobStep[];
}

export interface JobsPage {
  jobs: Job[];
  next: number | null;
}

export interface JobHost {
  step_id: number;
  host_id: number | null;
  name: string;
  ip: string | null;
  cloud_id: number;
  status: number;
  attempt: number;
  exit_code: number | null;
  tag: string | null;
  reason: string | null;
  started_us: number | null;
  ended_us: number | null;
  output_bytes: number;
  omitted_bytes: number;
}

export interface JobHostsPage {
  hosts: JobHost[];
  next: number | null;
}

export interface JobOperate {
  operation: "stop" | "retry-failed" | "retry-not-started" | "retry-all" | "skip" | "continue" | "ignore" | "confirm" | "refuse";
  step_id?: number;
  hosts?: number[];
}

export interface HostDefinition {
  name: string;
  ip?: string;
  ipv6?: string;
  cloud_id?: number;
  tags?: Record<string, string>;
  groups?: string[];
}

export interface ManagedHost extends HostDefinition {
  id: number;
  is_online: boolean;
  last_contact_us: number | null;
  created_us: number;
}
