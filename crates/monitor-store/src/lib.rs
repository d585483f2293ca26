//! The interface of a store, in eight traits: [`Intake`] stores events, [`Queries`] answers queries about trees, [`BatchQueries`] about batch
//! tasks, [`HeartbeatQueries`] about heartbeats, [`AlertQueries`] about alerts and [`QueueQueries`] about queue tasks, [`Housekeeping`] deletes
//! old data and makes backups, and [`JobStore`] keeps hosts and the jobs that run on them.
//!
//! This crate accesses no database and no files, and depends on no wall clock or settings. Events are passed as [`packed`] batches. With
//! the feature `testing` it also contains a store in memory and, as [`suite!`], the tests that every store must pass.

pub mod alerts;
pub mod batch;
pub mod changes;
pub mod columns;
pub mod cut;
pub mod error;
pub mod event_log;
pub mod heartbeat;
pub mod housekeeping;
mod intake;
pub mod jobs;
#[cfg(any(test, feature = "testing"))]
#[allow(missing_docs, clippy::return_self_not_must_use, reason = "tests")]
pub mod memory;
pub mod native;
pub mod packed;
pub mod queries;
pub mod queue;
pub mod retention;
pub mod shape;
pub mod signs;
#[cfg(any(test, feature = "testing"))]
#[allow(missing_docs, clippy::assigning_clones, clippy::missing_errors_doc, reason = "tests")]
pub mod suite;
#[cfg(any(test, feature = "testing"))]
#[path = "../../monitor-state/tests/support/mod.rs"]
pub mod support;
pub mod worker;

pub use self::alerts::{
    AlertMemory, AlertQueries, AlertsChange, AlertsQuery, Attempt, DeliveriesOf, Delivery, DeliveryState, FollowUp, FollowUpAttempt,
    NotesOf, RuleEdit, StoredRule,
};
pub use self::batch::{
    BatchQueries, BatchRunsQuery, BatchTasksQuery, Decided, Definition, Expects, Refused, TaskChange, TaskEdit, TasksChanged, diff,
};
pub use self::changes::{Change, Changes, Tell};
pub use self::columns::{MEDIA_TYPE as COLUMNS_MEDIA_TYPE, TreeColumns};
pub use self::error::{Failure, StoreError};
pub use self::event_log::{Cursor, KeepEvents, Logged, Models, Subject};
pub use self::heartbeat::TRIGGER as PING;
pub use self::heartbeat::{HeartbeatEdit, HeartbeatQueries, HeartbeatRow, KeyHash, MissedPing};
pub use self::housekeeping::{Backup, Budget, Chore, Housekeeping, Rules, Tidied, Turn};
pub use self::intake::Intake;
pub use self::jobs::{HostRow, JobHostRow, JobHostsQuery, JobRow, JobStore, JobsQuery, NewJob, SavedRow};
pub use self::queries::{
    CausesQuery, ErrorsQuery, LogsQuery, MOST_LINKED, NameTotals, Outline, ProcessesQuery, Queries, ReadTree, RootKey, RootSort,
    RootsQuery, SeriesQuery, Standing, StatsQuery, StatsSort,
};
pub use self::queue::{QueueCount, QueueQueries, QueueSort, QueueTasksQuery, Search as TaskSearch};
pub use self::shape::{is_bare_exit, shape};
pub use self::signs::Watched;
pub use self::signs::{PAST, is_alert, of_server, owners, usual_ns};

/// Default number of log lines that are kept from the beginning of each process's log, and the same number from its end.
pub const LOGS_KEPT: usize = 5_000;

/// Maximum lead of a sender's clock over the server's clock, in microseconds: one minute.
pub const MOST_AHEAD_US: u64 = 60_000_000;

/// A store with all its traits.
pub trait Store: Intake + Queries + BatchQueries + HeartbeatQueries + AlertQueries + QueueQueries + Housekeeping {}

impl<S: Intake + Queries + BatchQueries + HeartbeatQueries + AlertQueries + QueueQueries + Housekeeping> Store for S {}
