//! What the server keeps: seven traits of intentions in plain types, so that another database can take this one's place. What takes
//! ([`Intake`]), what answers ([`Queries`], [`BatchQueries`] of batch tasks, [`HeartbeatQueries`] of heartbeats, [`AlertQueries`] of alerts and
//! [`QueueQueries`] of tasks of queues), and what keeps house ([`Housekeeping`]). `sqlite/` is one implementation.

mod alerts;
mod batch;
mod changes;
mod columns;
mod error;
mod event_log;
mod heartbeat;
mod housekeeping;
mod intake;
#[cfg(test)]
pub(crate) mod memory;
mod queries;
pub(crate) mod queue;
mod shape;
mod signs;
pub(crate) mod space;
mod sqlite;
#[cfg(test)]
mod suite;
mod worker;

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
pub(crate) use self::heartbeat::TRIGGER as PING;
pub use self::heartbeat::{HeartbeatEdit, HeartbeatQueries, HeartbeatRow, KeyHash, MissedPing};
pub use self::housekeeping::{Backup, Budget, Chore, Housekeeping, Rules, Tidied, Turn};
pub use self::intake::Intake;
pub use self::queries::{
    CausesQuery, ErrorsQuery, LogsQuery, MOST_LINKED, NameTotals, Outline, ProcessesQuery, Queries, ReadTree, RootKey, RootSort,
    RootsQuery, SeriesQuery, Standing, StatsQuery, StatsSort,
};
pub use self::queue::{QueueCount, QueueQueries, QueueSort, QueueTasksQuery, Search as TaskSearch};
pub(crate) use self::shape::shape;
pub use self::signs::Watched;
pub(crate) use self::signs::{PAST, is_alert, of_server, owners, usual_ns};
#[cfg(test)]
pub(crate) use self::sqlite::MAX_READERS;
pub use self::sqlite::{Checked, Opened, Restored, Salvaged, SqliteStore, backup, check, restore, salvage};
pub(crate) use self::sqlite::{Durability, Schema, SubjectFile, create_private, open_private, serve_at, served_at, write_private};

/// A whole store, for whoever hands out its parts.
pub trait Store: Intake + Queries + BatchQueries + HeartbeatQueries + AlertQueries + QueueQueries + Housekeeping {}

impl<S: Intake + Queries + BatchQueries + HeartbeatQueries + AlertQueries + QueueQueries + Housekeeping> Store for S {}
