//! One file per subcommand.

mod access_folder;
#[cfg(target_os = "linux")]
pub(crate) mod after_run;
#[cfg(target_os = "linux")]
pub(crate) mod agent;
#[cfg(target_os = "linux")]
mod agent_join;
#[cfg(target_os = "linux")]
mod agent_salvage;
#[cfg(target_os = "linux")]
mod agent_settings;
pub(crate) mod alert;
mod asking;
pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod cancel;
#[cfg(unix)]
pub(crate) mod celery;
pub(crate) mod check;
pub(crate) mod clock;
pub(crate) mod completions;
#[cfg(target_os = "linux")]
mod conclusion;
pub(crate) mod control;
pub(crate) mod delete;
#[cfg(target_os = "linux")]
pub(crate) mod detached;
pub(crate) mod doctor;
pub(crate) mod events;
pub(crate) mod export;
pub(crate) mod heartbeat;
pub(crate) mod help;
pub(crate) mod host;
mod host_args;
pub(crate) mod import;
pub(crate) mod inspect;
pub(crate) mod job;
mod job_grant;
pub(crate) mod list;
pub(crate) mod logs;
pub(crate) mod mcp;
pub(crate) mod migrate;
pub(crate) mod notify;
pub(crate) mod open;
#[cfg(target_os = "linux")]
mod own_agent;
pub(crate) mod pin;
#[cfg(target_os = "linux")]
pub(crate) mod publish;
pub(crate) mod queue;
#[cfg(target_os = "linux")]
pub(crate) mod report;
pub(crate) mod restore;
#[cfg(target_os = "linux")]
pub(crate) mod run;
pub(crate) mod salvage;
pub(crate) mod server;
pub(crate) mod shell;
pub(crate) mod show;
pub(crate) mod spool;
pub(crate) mod status;
mod stop_signals;
pub(crate) mod target;
pub(crate) mod task;
pub(crate) mod token;
pub(crate) mod top;
pub(crate) mod tree;
pub(crate) mod user;
pub(crate) mod version;
mod within;
pub(crate) mod workers;
