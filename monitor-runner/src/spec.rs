//! What is to be run, and how.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::inject::Inject;

/// A command and the conditions that it runs under.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Spec {
    /// The program, looked up on `PATH`, and its arguments.
    pub command: Vec<OsString>,
    /// Name of the process; else the program's.
    pub name: Option<String>,
    /// The batch mark of a root.
    pub batch: Option<String>,
    /// Words of which arguments are hidden where the command is recorded; `*` hides all.
    pub mask: Vec<String>,
    /// Where it runs; else where the launcher does.
    pub cwd: Option<PathBuf>,
    /// Set in its environment besides.
    pub env: Vec<(OsString, OsString)>,
    /// How long an attempt may take.
    pub timeout: Option<Duration>,
    /// Between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// How much CPU time it may take.
    pub cpu: Option<Duration>,
    /// How many bytes of memory it may have.
    pub memory: Option<u64>,
    /// Added to its niceness.
    pub nice: Option<i32>,
    /// How often it is tried again when it fails.
    pub retry: u32,
    /// Before the second attempt; twice as long before each further one.
    pub backoff: Duration,
    /// Output that goes to a file is taken as well.
    pub capture: bool,
    /// Its output is also written to a file below this folder.
    pub log_dir: Option<PathBuf>,
    /// How long that file may become.
    pub log_bytes: u64,
    /// What becomes of it when the launcher is killed.
    pub on_launcher_death: OnDeath,
    /// What is made to tell of itself.
    pub inject: Vec<Inject>,
    /// Names the functions of [`Inject::Python`]; else `monitor-python.toml` where the command runs.
    pub inject_config: Option<PathBuf>,
}

/// What becomes of a command whose launcher is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnDeath {
    /// It goes on.
    #[default]
    Continue,
    /// It is killed, with all that it has started.
    Kill,
}

impl Spec {
    /// A command with its arguments, under no conditions.
    pub fn new(command: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        Self {
            command: command.into_iter().map(Into::into).collect(),
            name: None,
            batch: None,
            mask: Vec::new(),
            cwd: None,
            env: Vec::new(),
            timeout: None,
            grace: Duration::from_secs(5),
            cpu: None,
            memory: None,
            nice: None,
            retry: 0,
            backoff: Duration::from_secs(1),
            capture: false,
            log_dir: None,
            log_bytes: 100 << 20,
            on_launcher_death: OnDeath::Continue,
            inject: Vec::new(),
            inject_config: None,
        }
    }

    /// Name of its process.
    pub fn shown_name(&self) -> String {
        self.name.clone().unwrap_or_else(|| {
            let program = self.command.first().map(PathBuf::from).unwrap_or_default();
            program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned()
        })
    }

    /// A path as the command would read it, which may run in another folder than this program.
    pub(crate) fn in_folder(&self, path: &Path) -> PathBuf {
        self.cwd.as_deref().map_or_else(|| path.to_owned(), |cwd| cwd.join(path))
    }

    /// Name of the folder that it runs in. This program's own may have been removed, which its name then says.
    pub(crate) fn shown_folder(&self) -> PathBuf {
        let here = || std::env::current_dir().or_else(|_| std::fs::read_link("/proc/self/cwd")).unwrap_or_default();
        match &self.cwd {
            Some(cwd) if cwd.is_absolute() => cwd.clone(),
            Some(cwd) => here().join(cwd),
            None => here(),
        }
    }
}
