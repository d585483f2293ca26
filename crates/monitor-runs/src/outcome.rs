//! How it ended.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::spec::{ProcessIds, Verdict};

/// How a command ended, by its last attempt.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
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
    pub is_cancelled: bool,
    /// The line of its output that says best why it failed.
    pub why: Option<String>,
    /// When it began, in Unix microseconds.
    pub started_us: u64,
    /// When it ended, in Unix microseconds.
    pub ended_us: u64,
    /// Meaning of its exit code, where the spec gives it one.
    pub verdict: Option<Verdict>,
    /// A further message about the run.
    pub note: Option<String>,
    /// The process that it is recorded as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessIds>,
}

impl Outcome {
    /// As a shell says it: the exit code, or 128 and the number of the signal.
    pub fn exit_code(&self) -> u8 {
        let signal = self.signal.map(|signal| 128 + signal);
        self.code.or(signal).unwrap_or(125) as u8
    }

    /// Gives its exit code, or 128 and the number of its signal, the meaning that the spec says.
    pub fn judge(&mut self, exits: &BTreeMap<u8, Verdict>) {
        let code = self.code.or(self.signal.map(|signal| 128 + signal));
        let code = code.filter(|_| self.error.is_none()).and_then(|code| u8::try_from(code).ok());
        self.verdict = code.and_then(|code| exits.get(&code).copied());
        self.is_cancelled |= self.verdict == Some(Verdict::Cancelled);
    }

    /// Whether it succeeded.
    pub fn is_success(&self) -> bool {
        self.verdict.map_or(self.code == Some(0), |verdict| verdict == Verdict::Ok) && self.reason.is_none()
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
