//! What travels between monitored programs, the server and its readers: ids, events, batches, read models; and the rules that both sides
//! keep to: which answers are tried again, and which names mean this machine.
//!
//! Plain data and its JSON form. No I/O, no clock; client and server both know this crate, it knows neither.
#![forbid(unsafe_code)]

mod access;
mod agent_order;
mod alert;
mod batch;
mod command;
mod doctor;
mod event;
#[cfg(feature = "openapi")]
mod event_schema;
mod failure;
mod fold;
mod heartbeat;
mod host;
mod ids;
mod job;
mod job_callback;
mod job_order;
mod job_result;
mod job_status;
mod managed_host;
mod method;
mod model;
mod order;
mod program_order;
mod publication;
mod queue;
mod queue_order;
mod retry;
mod revoked;
mod secret;
mod stats;
mod status;
mod task;
mod task_event;
mod unplaced;
mod webhook;
mod words;
mod worker_event;

pub use access::{AuditEntry, AuditPage, JobGrant, Me, TokenState, Tokens};
pub use agent_order::{AgentMethod, AgentOrder, NamedPublication};
pub use alert::{
    Alert, AlertChannel, AlertDetail, AlertExplanation, AlertMessage, AlertNote, AlertPreview, AlertRule, AlertRules, AlertTrial,
    AlertTrials, AlertsPage, ExplainedSign, Hush, HushRequest, Hushes, RuleDraft, RuleTrial,
};
pub use batch::{Accepted, Batch, DecodeError, Dropped, VERSION};
pub use command::{
    CHANNEL_KEY, CancelRequest, Cancelled, Command, CommandLine, CommandMethod, CommandMethods, CommandOrder, CommandReply, CommandRequest,
    CommandTo, CommandsPage, StillRunning, WorkerChannel,
};
pub use doctor::{Diagnosis, Finding, Likely};
pub use event::{
    CUT_FIELDS, Event, Fields, Link, MAX_TIME_US, ProcessEnded, ProcessFolded, ProcessLogged, ProcessOverdue, ProcessProgressed,
    ProcessQueued, ProcessStarted, ProcessUpdated, Retry, UnknownEvent, WorkerRef,
};
pub use failure::{Error, Source};
pub use fold::{Fold, FoldError, quantile_ns};
pub use heartbeat::{Heartbeat, HeartbeatDefinition, HeartbeatKey, HeartbeatRoll, Heartbeats};
pub use host::is_loopback;
pub use ids::{CommandId, InvalidId, InvalidTraceparent, ProcessId, RootId, Traceparent, WorkerId};
pub use job::{
    IpTarget, Job, JobFailed, JobHost, JobHostsPage, JobOperate, JobOperation, JobPreview, JobRequest, JobRetry, JobStarted, JobStep,
    JobThen, JobsPage, Language, PreviewedHost, Rolling, RollingMode, SecretSource, StepRequest, StepStarted, Targets,
};
pub use job_callback::{CallbackDelivery, CallbacksPage, DeliveryState, JobCallback, StepCallback};
pub use job_order::{JobKeys, JobOrder, JobOrders, JobReport, JobReportEvent, JobReports, JobRunKey, SignedJobOrder};
pub use job_result::{HostMessage, JobResult, MessageLevel, OutputShape};
pub use job_status::{HostStatus, JobStatus};
pub use managed_host::{AllSavedTargets, HostDefinition, HostReach, HostsChanged, HostsPut, ManagedHost, ManagedHosts, SavedTargets};
pub use method::{Argument, ArgumentKind, CHANGING_METHODS, Method, MethodGroup, MethodScope, READING_METHODS, SINGLE_METHODS};
pub use model::{
    Attempt, Counts, LinkFrom, LinkedFrom, LogEntry, LogGap, LogsPage, Problem, Process, ProcessDetail, ProcessesPage, Progress, Root,
    RootsPage, StreamMessage, TreePage, Worker, WorkerTasks, WorkersPage,
};
pub use order::{MOST_IDS, Order, OrderError, Rate, check_arguments};
pub use program_order::{EVENT_LEVELS, LOG_LEVELS, ProgramOrder};
pub use publication::{
    BatchComparison, BatchFile, BatchFileChange, BatchFileText, BatchFiles, BatchLeft, BatchPublication, BatchPublications, BatchRestore,
    BatchSilent,
};
pub use queue::{
    Queue, QueueCallRequest, QueueCalled, QueueCounts, QueueOfWorker, QueueRetried, QueueRetryRequest, QueueRevokeRequest, QueueTaskResult,
    QueueTasksPage, QueueTypes, Queues, Task, TaskFailed, TaskReceived, TaskRejected, TaskRetried, TaskRevoked, TaskSent, TaskStarted,
    TaskSucceeded,
};
pub use queue_order::{CallAnswer, PurgeAnswer, QueueCount, QueueLength, QueuePurge, QueuesAnswer, RetryAnswer, RetryLine, TaskCall};
pub use retry::{Backoff, LONGEST_RETRY_AFTER, is_temporary, retry_after};
pub use revoked::RevokedIds;
pub use secret::mask;
pub use stats::{
    CauseStats, CausesPage, ErrorStats, ErrorsPage, NameStats, RootMark, RootName, RootNamesPage, SeriesStep, StatsPage, StatsSeries,
};
pub use status::{ClockJump, Confirmed, DutyState, KeepRule, Status, WorkerCounts};
pub use task::{
    AgentBook, AgentKnown, BatchAgent, BatchAgents, BatchApplied, BatchApply, BatchCrowd, BatchCrowded, BatchDay, BatchDayMark,
    BatchDecision, BatchEnd, BatchExplained, BatchExplanation, BatchKillRequest, BatchLane, BatchLog, BatchMark, BatchPause,
    BatchRehearsal, BatchRun, BatchRunRequest, BatchRunsPage, BatchStep, BatchTask, BatchTasksPage, BatchVersion, BatchVersions, BookTask,
    KnownDues, KnownTask, NextDue, NextDues,
};
pub use task_event::{AgentDecided, BatchTaskChanged, ProcessNotified, RunMissed, RunSkipped};
pub use unplaced::Unplaced;
pub use webhook::{AlertSubject, AlertWebhook};
pub use words::{
    Attachment, BatchStatus, CommandStatus, ErrorKind, Fix, HeartbeatState, Kind, Loss, MissedReason, Outcome, Phase, SkipReason, State,
    WorkerRole, WorkerState,
};
pub use worker_event::{Registered, WorkerChanged, WorkerHeartbeat, WorkerOffline, WorkerOnline};
