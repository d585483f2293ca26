//! The one on each machine that starts the commands of batch tasks: it decides by [`monitor_tasks::plan()`], writes down what it has decided,
//! starts runs by [`monitor_runs`], and sees each to its end.
//!
//! ```text
//! files of tasks ─┐
//! the server ─────┴► book ┐
//! requests, orders ───────┼─► plan ─► database ─► act: claim and start, end, tell
//! ends of runs ─► ledger ─┘
//! ```
//! One thread decides. What it has decided is on the disk before it acts, and each run has a folder that can be made only once, so that
//! whoever comes after a crash finds out what has become of each decision. Each run has a thread that starts it and waits for its end.
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
pub use data::{Database, RunRow, TaskRow};
pub use defaults::Defaults;
pub use error::AgentError;
pub use folder::{DATABASE, default_data, is_running};
pub use link::disconnected;
pub use publication::{Change, FileRow, Files, Publication, PublishError, compare, files};
pub use rebuild::last_name;
pub use request::{Answer, Request};
pub use salvage::{Salvaged, salvage};
pub use socket::publish_by;
