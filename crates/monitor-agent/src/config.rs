//! The settings of an agent.

use std::ffi::OsString;
use std::path::PathBuf;

use monitor_api::Client;

use crate::commands::ChannelCommands;
use crate::defaults::Defaults;
use crate::job_policy::JobPolicy;

/// Settings of an agent.
#[derive(Debug, Clone)]
pub struct Config {
    /// Name of the agent. Definitions refer to it in `on`.
    pub name: String,
    /// Folder of the agent's own data.
    pub data: PathBuf,
    /// Folder with the files that define tasks.
    pub tasks: Option<PathBuf>,
    /// Folder that contains `task/NAME` for each task. Defaults to [`data`](Self::data).
    pub home: Option<PathBuf>,
    /// Name of the agent's profile: a table in a task's own settings, whose values override the other settings.
    pub profile: Option<String>,
    /// Maximum number of concurrent runs.
    pub max_runs: u32,
    /// Maximum number of output bytes kept per run: half from the beginning and half from the end.
    pub output_bytes: u64,
    /// Hooks and targets of tasks that set none of their own.
    pub defaults: Defaults,
    /// Additional environment variables for the launchers of runs: the server's address and the token.
    pub env: Vec<(&'static str, OsString)>,
    /// Client that reports to the server.
    pub client: Client,
    /// Client that fetches the agent's tasks and orders. Separate from `client`, because each client is used in its own thread.
    pub orders: Client,
    /// Folder of the spool, where launchers store events that they can't send.
    pub spool: Option<PathBuf>,
    /// True if the agent accepts no definitions from the server.
    pub files_only: bool,
    /// Commands of alert channels that the agent runs.
    pub commands: ChannelCommands,
    /// Rules of the host's owner for jobs.
    pub jobs: JobPolicy,
    /// Client that fetches orders of jobs and sends their reports and output.
    pub job_client: Client,
    /// Path of the program `monitor`, which launches runs.
    pub monitor: PathBuf,
}
