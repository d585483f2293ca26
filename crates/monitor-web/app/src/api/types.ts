/** The read models of the HTTP API, by the names of its description. Times are Unix microseconds, durations nanoseconds. */
import type { components } from "./schema.ts";

type Schemas = components["schemas"];

/** The server writes all fields of read models, with null for unknown values, although their description marks them as optional. */
type Written<Model> = { [Key in keyof Model]-?: Exclude<Model[Key], undefined> };

/** `Model` with some fields replaced by more specific types. */
type With<Model, Content extends Partial<Record<keyof Model, unknown>>> = Omit<Written<Model>, keyof Content> & Content;

/** Fields that are omitted if unknown. */
interface Expected {
  /** Median and 95th percentile of earlier durations of processes with this name. */
  expected_ns?: number | null;
  expected_p95_ns?: number | null;
  overdue?: boolean;
}

/** Fields that only roots have. */
interface OfRoot {
  /** Time at which it was queued, or ended, if its start is unknown. */
  begun_us?: number | null;
  /** Progress of the root's own process. */
  progress?: Progress | null;
  /** Current attempt of the root's own process while it runs or waits for the next attempt. */
  attempt?: number | null;
}

/** Fields that are omitted unless there was more than one attempt, or will be. */
interface Tried {
  attempts_of?: number | null;
  next_attempt_us?: number | null;
}

/** Optional figures of a heartbeat. */
type Figures = Pick<Schemas["Worker"], "active" | "processed" | "loadavg">;

interface Kept {
  /** True if retention never deletes it. */
  pinned?: boolean;
  /** True if it was started without a context, so that its tree is unknown. */
  unattached?: boolean;
}

export type Root = Written<Omit<Schemas["Root"], keyof Expected | keyof Kept | keyof OfRoot | keyof Tried>> & Expected & Kept & OfRoot & Tried;
/** `depth` is omitted, because the tree computes it. */
export type Process = With<Omit<Schemas["Process"], "depth" | "contradictions" | "attempts" | "task" | keyof Expected | keyof Tried>, { progress: Progress | null; fold: Fold | null }> & Expected & Tried & { attempts?: Attempt[] } & Pick<Schemas["Process"], "contradictions" | "task">;
/** A process, and the links to it from other trees. */
export type ProcessDetail = Pick<Schemas["ProcessDetail"], "linked_from">;
export type Attempt = Written<Schemas["Attempt"]>;
export type Progress = Written<Schemas["Progress"]>;
export type Fold = Written<Schemas["Fold"]>;
export type Failure = Schemas["Error"];
export type Counts = Schemas["Counts"];
export type Worker = Written<Omit<Schemas["Worker"], "registered" | "events" | "tasks" | keyof Figures>> & Figures & Pick<Schemas["Worker"], "registered" | "events" | "tasks">;
export type Channel = Schemas["WorkerChannel"];
export type Command = Schemas["Command"];
export type CommandMethods = Schemas["CommandMethods"];
export type CommandLine = Schemas["CommandLine"];
export type CommandPage = Schemas["CommandsPage"];
export type Cancelled = With<Schemas["Cancelled"], { still: Written<Schemas["StillRunning"]>[] }>;
export type Diagnosis = Schemas["Diagnosis"];
export type Status = Schemas["Status"];
export type KeepRule = Schemas["KeepRule"];
export type Problem = Partial<Schemas["Problem"]>;

export type RootPage = With<Schemas["RootsPage"], { roots: Root[] }>;
export type TreePage = With<Schemas["TreePage"], { root: Root; processes: Process[] }>;
export type ProcessPage = With<Schemas["ProcessesPage"], { processes: Process[] }>;
export type QueueTasksPage = With<Schemas["QueueTasksPage"], { tasks: Process[] }>;
export type Queues = Schemas["Queues"];
export type QueueRetried = Schemas["QueueRetried"];
export type WorkerPage = With<Schemas["WorkersPage"], { workers: Worker[] }>;

/** Data of a stream event: the event, and the read models after it. */
export type Change = With<Schemas["StreamMessage"], { root: Root | null; process: Process | null; worker: Worker | null }> & { log?: LogLine | null };

/** Runs with the same name. */
export type NamedRoots = With<Schemas["RootName"], { roots: Written<Schemas["RootMark"]>[] }>;
export type NamesPage = With<Schemas["RootNamesPage"], { names: NamedRoots[] }>;

/** A line of a log. */
export type LogLine = With<Schemas["LogEntry"], { fields: Record<string, unknown> }>;
export type LogsPage = With<Omit<Schemas["LogsPage"], "gap">, { logs: LogLine[] }> & Pick<Schemas["LogsPage"], "gap">;

/** Statistics of the finished processes with the same name. */
export type NameStats = Written<Schemas["NameStats"]>;
export type StatsPage = With<Schemas["StatsPage"], { stats: NameStats[] }>;
export type StatsSeries = Schemas["StatsSeries"];
export type ErrorsPage = Schemas["ErrorsPage"];
export type CausesPage = Schemas["CausesPage"];

/** Batch tasks and their runs. */
export type BatchMark = Schemas["BatchMark"];
export type BatchTask = With<Schemas["BatchTask"], { definition: Record<string, unknown>; last_run?: BatchRun | null; missed_us?: number | null }>;
export type BatchTasksPage = With<Schemas["BatchTasksPage"], { tasks: BatchTask[] }>;
export type BatchAgents = Schemas["BatchAgents"];
export type BatchRun = Written<Schemas["BatchRun"]>;
export type BatchRunsPage = With<Schemas["BatchRunsPage"], { runs: BatchRun[] }>;
export type BatchVersions = Schemas["BatchVersions"];
export type BatchExplained = Written<Schemas["BatchExplained"]>;
export type BatchExplanation = With<Schemas["BatchExplanation"], { due: BatchExplained[] }>;
export type BatchLog = Schemas["BatchLog"];
export type BatchRehearsal = Schemas["BatchRehearsal"];
export type BatchDayMark = Written<Schemas["BatchDayMark"]>;
export type BatchLane = With<Schemas["BatchLane"], { marks: BatchDayMark[] }>;
export type BatchDay = With<Schemas["BatchDay"], { lanes: BatchLane[] }>;
export type BatchPublication = Written<Schemas["BatchPublication"]>;
export type BatchLeft = Schemas["BatchLeft"];
export type BatchPublications = With<Schemas["BatchPublications"], { publications: BatchPublication[]; silent: Schemas["BatchSilent"][] }>;
export type BatchFiles = Schemas["BatchFiles"];
export type BatchFileText = Schemas["BatchFileText"];
export type BatchComparison = Schemas["BatchComparison"];
export type NextDues = With<Schemas["NextDues"], { due: Written<Schemas["NextDue"]>[] }>;

/** The user as whom the server identifies the reader. */
export type Me = Written<Schemas["Me"]>;
export type Tokens = Schemas["Tokens"];
/** Alerts and their messages. */
export interface AlertFacts {
  run?: string;
  root_id?: string;
  /** Number of the job on many hosts. */
  job?: number;
  process_id?: string;
  machine?: string;
  exit_code?: number;
  exit_meaning?: string;
  error?: string;
  text?: string;
  lines?: string[];
  changes?: string[];
  published?: { target: string; was: number; is?: number }[];
  elapsed_ns?: number;
  usual_ns?: number;
}
export type Alert = With<Schemas["Alert"], { facts: AlertFacts }>;
export type AlertsPage = With<Schemas["AlertsPage"], { alerts: Alert[] }>;
export type AlertMessage = Written<Schemas["AlertMessage"]>;
export type AlertDetail = With<Schemas["AlertDetail"], { alert: Alert; notes: Written<Schemas["AlertNote"]>[]; messages: AlertMessage[] }>;
export type AlertChannel = With<Schemas["AlertChannel"], { last: AlertMessage | null }>;
export type AlertRules = With<Schemas["AlertRules"], { channels: AlertChannel[] }>;
export type AlertTrial = With<Schemas["AlertTrial"], { alerts: Alert[] }>;
export type AlertTrials = With<Schemas["AlertTrials"], { trials: With<Schemas["RuleTrial"], { trial: AlertTrial }>[] }>;
export type AlertPreview = Written<Schemas["AlertPreview"]>;
export type Hushes = With<Schemas["Hushes"], { hushes: Written<Schemas["Hush"]>[] }>;
export type HeartbeatDefinition = Schemas["HeartbeatDefinition"];
export type HeartbeatKey = Schemas["HeartbeatKey"];
export type Heartbeat = Written<Schemas["Heartbeat"]>;
export type Heartbeats = With<Schemas["Heartbeats"], { heartbeats: Heartbeat[] }>;
/** Jobs on many hosts, and the hosts. */
export type JobRequest = Schemas["JobRequest"];
export type JobStarted = Schemas["JobStarted"];
export type PreviewedHost = Schemas["PreviewedHost"];
export type JobPreview = Schemas["JobPreview"];
export type JobStep = Written<Schemas["JobStep"]>;
export type Job = With<Schemas["Job"], { steps: JobStep[] }>;
export type JobsPage = With<Schemas["JobsPage"], { jobs: Job[] }>;
export type JobHost = Written<Schemas["JobHost"]>;
export type JobHostsPage = With<Schemas["JobHostsPage"], { hosts: JobHost[] }>;
export type CallbackDelivery = Written<Schemas["CallbackDelivery"]>;
export type CallbacksPage = With<Schemas["CallbacksPage"], { deliveries: CallbackDelivery[] }>;
export type JobResult = Schemas["JobResult"];
export type Targets = Schemas["Targets"];
export type SavedTargets = Written<Schemas["SavedTargets"]>;
export type JobOperate = Schemas["JobOperate"];
export type HostDefinition = Omit<Schemas["HostDefinition"], "how">;
export type ManagedHost = With<Schemas["ManagedHost"], Pick<HostDefinition, "ip" | "ipv6" | "tags" | "groups">>;
