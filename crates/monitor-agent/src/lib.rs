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
mod asked;
mod clock;
mod commands;
mod data;
mod defaults;
mod error;
mod explain;
mod files;
mod folder;
mod follow;
mod judge;
mod link;
mod look;
mod mark;
mod outbox;
mod output;
mod publication;
mod publish;
mod rebuild;
mod recover;
mod report;
mod request;
mod retention;
mod salvage;
mod server_knowledge;
mod socket;
mod spec;
mod tasks;
mod tell;
mod telling;
mod watch;

pub use agent::{Agent, Config, End};
pub use commands::ChannelCommands;
pub use data::{Database, RunRow, TaskRow};
pub use defaults::Defaults;
pub use error::AgentError;
pub use folder::{DATABASE, default_data, is_running};
pub use link::disconnected;
pub use mark::last_name;
pub use publication::{Change, FileRow, Files, Publication, PublishError, compare, files};
pub use request::{Answer, Request};
pub use salvage::{Salvaged, salvage};
pub use socket::publish_by;
