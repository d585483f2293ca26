//! How it ended.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::messages::Stage;
use crate::spec::Spec;

/// How a command ended, by its last attempt.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Its exit code, unless a signal ended it. 126 and 127 if it could not be started.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Why it ended so, in one word: `timeout`, `cpu`, `memory`, `not-found`, `not-executable`, `not-started`.
    pub reason: Option<String>,
    /// Why it could not be started.
    pub error: Option<String>,
    /// CPU time, with that of what it has waited for.
    pub cpu: Duration,
    /// The most memory that one of them had at a time.
    pub peak_bytes: u64,
    /// Bytes read and written by system calls, if the system tells.
    pub io_bytes: Option<(u64, u64)>,
    /// How often it was tried.
    pub attempts: u32,
    /// It ended because somebody asked it to: by `monitor runs kill`, a key, or a signal to the launcher.
    #[serde(default)]
    pub is_cancelled: bool,
    /// The line of its output that says best why it failed.
    #[serde(default)]
    pub why: Option<String>,
    /// What else whoever asked for it is to be told.
    #[serde(default)]
    pub note: Option<String>,
}

impl Outcome {
    /// As a shell says it: the exit code, or 128 and the number of the signal.
    pub fn exit_code(&self) -> u8 {
        let signal = self.signal.map(|signal| 128 + signal);
        self.code.or(signal).unwrap_or(125) as u8
    }

    /// Whether it succeeded.
    pub fn is_success(&self) -> bool {
        self.code == Some(0) && self.reason.is_none()
    }

    /// Whether its output may say why it failed: it ended by itself, or gave up with SIGABRT as a program does that finds itself broken.
    pub(crate) fn is_told_by_output(&self) -> bool {
        !self.is_success() && self.reason.is_none() && self.error.is_none() && self.signal.is_none_or(|signal| signal == libc::SIGABRT)
    }

    /// It could not be started: while doing what, and why.
    pub(crate) fn not_started(spec: &Spec, stage: Stage, error: &io::Error) -> Self {
        let program = spec.command.first().cloned().unwrap_or_default();
        let name = program.to_string_lossy().into_owned();
        let is_path = name.contains('/');
        let (code, reason, why) = match (stage, error.kind()) {
            (Stage::Start, io::ErrorKind::NotFound) if is_path && spec.in_folder(Path::new(&program)).exists() => {
                (126, "not-executable", format!("{name}: the interpreter that its first line names is not there"))
            }
            (Stage::Start, io::ErrorKind::NotFound) if is_path => (127, "not-found", format!("{name}: there is no such file")),
            (Stage::Start, io::ErrorKind::NotFound) => (127, "not-found", format!("{name}: command not found")),
            (Stage::Start, _) => (126, "not-executable", format!("{name}: can't be executed: {error}")),
            (Stage::Folder, _) => (125, "not-started", format!("the folder {} can't be entered: {error}", spec.shown_folder().display())),
            (Stage::Memory, _) => (125, "not-started", format!("the memory can't be limited (--memory): {error}")),
            (Stage::Cpu, _) => (125, "not-started", format!("the CPU time can't be limited (--cpu): {error}")),
            (Stage::Nice, _) => (125, "not-started", format!("it can't run so nice (--nice): {error}")),
            (Stage::Terminal, _) => (125, "not-started", format!("it can't have a terminal: {error}")),
        };
        Self { code: Some(code), reason: Some(reason.to_owned()), error: Some(why), ..Self::default() }
    }

    /// In words: `exit code 3`, `killed by SIGTERM (15), timeout`.
    pub fn words(&self) -> String {
        let mut words = match (&self.error, self.code, self.signal) {
            (Some(error), ..) => return error.clone(),
            (_, _, Some(signal)) => format!("killed by {} ({signal})", signal_name(signal)),
            (_, Some(code), _) => format!("exit code {code}"),
            _ => "exit code unknown".to_owned(),
        };
        if let Some(reason) = &self.reason {
            words = format!("{reason}: {words}");
        }
        words
    }
}

/// A failed attempt after which another one is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Which attempt failed, from 1.
    pub attempt: u32,
    /// How many there are to be at most.
    pub of: u32,
    /// When the next one is to begin, in Unix microseconds.
    pub next_us: u64,
}

/// Why a command can't be run at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// There is nothing to run.
    #[error("there is no command: name one behind `--`")]
    NoCommand,
    /// A folder can't be used.
    #[error("the folder {path} {wanted}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// What it can't be used for.
        wanted: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The system refuses something.
    #[error("could not {action}")]
    System {
        /// What.
        action: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A configuration can't be used.
    #[error("{path}: {message}")]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        message: String,
    },
    /// No detached run has this id.
    #[error("there is no run {id:?}: `monitor runs list` shows all")]
    NoRun {
        /// As it was asked for.
        id: String,
    },
    /// More than one detached run is meant.
    #[error("{id:?} may be any of {found}: name more of it")]
    Ambiguous {
        /// As it was asked for.
        id: String,
        /// All that begin so.
        found: String,
    },
    /// What a run's folder says can't be read.
    #[error("{path} can't be read: it is damaged, or of another version")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// The launcher of a detached run ended at once.
    #[error("{message}")]
    NotStarted {
        /// Why.
        message: String,
        /// As the launcher would have ended.
        code: u8,
    },
}

impl RunError {
    pub(crate) fn system(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { action, source }
    }
}

fn signal_name(signal: i32) -> &'static str {
    match signal {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGUSR1 => "SIGUSR1",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGUSR2 => "SIGUSR2",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGXFSZ => "SIGXFSZ",
        libc::SIGSYS => "SIGSYS",
        _ => "a signal",
    }
}
