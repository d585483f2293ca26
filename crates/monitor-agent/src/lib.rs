//! The agent starts the commands of batch tasks on its machine. It makes decisions with [`monitor_tasks::plan()`], stores them in its database,
//! starts runs with [`monitor_runs`], and waits for the end of each run.
//!
//! ```text
//! files of tasks ─┐
//! the server ─────┴► book ┐
//! requests, orders ───────┼─► plan ─► database ─► act: claim and start, end, report
//! ends of runs ─► ledger ─┘
//! ```
//! One thread makes all decisions. It commits each decision to the database before it acts. The folder of a run can be created only once. After
//! a crash, the next agent can therefore find out the state of each decision. Each run has a thread that starts it and waits for its end.
#![cfg(target_os = "linux")]

mod agent;
mod alert;
mod clock;
mod commands;
mod config;
mod data;
mod defaults;
mod error;
mod explain;
mod files;
mod folder;
mod job;
mod job_policy;
mod link;
mod log;
mod mark;
mod messages;
mod outbox;
mod output;
mod publication;
mod publish;
mod random;
mod rebuild;
mod rebuilt;
mod report;
mod request;
mod retention;
mod run_files;
mod run_watcher;
mod salvage;
mod socket;
mod spec;
mod telling;
mod verdict;
mod watch;

pub use agent::{Agent, End};
pub use commands::ChannelCommands;
pub use config::Config;
pub use data::{Database, NEWEST_SCHEMA, RunRow, TaskRow};
pub use defaults::Defaults;
pub use error::AgentError;
pub use folder::{DATABASE, default_data, is_running};
pub use job::pin_job_keys;
pub use job_policy::JobPolicy;
pub use link::disconnected;
pub use publication::{Change, FileRow, Files, Publication, PublishError, compare, files};
pub use rebuild::last_name;
pub use request::{Answer, Request};
pub use salvage::{Salvaged, salvage};
pub use socket::publish_by;
