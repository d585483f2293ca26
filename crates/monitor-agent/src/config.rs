//! Settings of an agent.

use std::ffi::OsString;
use std::path::PathBuf;

use monitor_api::Client;

use crate::commands::ChannelCommands;
use crate::defaults::Defaults;

/// How an agent works.
#[derive(Debug, Clone)]
pub struct Config {
    /// Its name, which definitions name in `on`.
    pub name: String,
    /// Its folder.
    pub data: PathBuf,
    /// A folder of files that define tasks.
    pub tasks: Option<PathBuf>,
    /// The folder that has `task/NAME` of each task; else its own.
    pub home: Option<PathBuf>,
    /// The table of a task's settings that holds for it.
    pub profile: Option<String>,
    /// Most runs at the same time.
    pub max_runs: u32,
    /// So many bytes of a run's output are kept: the first half and the last one.
    pub output_bytes: u64,
    /// What holds for tasks that say nothing else.
    pub defaults: Defaults,
    /// What the launchers of runs have in their environment besides: where the server is, and the token for it.
    pub env: Vec<(&'static str, OsString)>,
    /// Client that reports to the server.
    pub client: Client,
    /// What the server is asked by, for the agent's tasks and orders; another one, since each keeps to its thread.
    pub orders: Client,
    /// The spool in which launchers leave what they can't send.
    pub spool: Option<PathBuf>,
    /// Takes no definitions from the server.
    pub files_only: bool,
    /// The commands of alert channels that it runs.
    pub commands: ChannelCommands,
    /// The program `monitor`, which launches runs.
    pub monitor: PathBuf,
}
