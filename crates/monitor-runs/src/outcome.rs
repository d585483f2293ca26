//! Outcome of a run.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::spec::{ProcessIds, Verdict};

/// Outcome of a command, according to its last attempt.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Outcome {
    /// Exit code, unless a signal ended the command. 126 and 127 if it could not be started.
    pub code: Option<i32>,
    /// Signal that ended the command.
    pub signal: Option<i32>,
    /// Reason in one word: `timeout`, `cpu`, `memory`, `not-found`, `not-executable`, `not-started`.
    pub reason: Option<String>,
    /// Error that prevented the start.
    pub error: Option<String>,
    /// CPU time of the command and of the children that it has waited for.
    pub cpu: Duration,
    /// Largest peak memory among these processes, in bytes.
    pub peak_bytes: u64,
    /// Bytes read and written by system calls, if available.
    pub io_bytes: Option<(u64, u64)>,
    /// Number of attempts.
    pub attempts: u32,
    /// True if the end was requested: by `monitor detached kill`, a key, or a signal to the launcher.
    pub is_cancelled: bool,
    /// Line of the output that explains the failure best.
    pub why: Option<String>,
    /// Start time, in Unix microseconds.
    pub started_us: u64,
    /// End time, in Unix microseconds.
    pub ended_us: u64,
    /// Meaning of the exit code, if the specification defines it.
    pub verdict: Option<Verdict>,
    /// Additional message about the run.
    pub note: Option<String>,
    /// Ids of the process that records the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessIds>,
}

impl Outcome {
    /// Returns the exit code as in a shell: the code, or 128 plus the signal's number.
    pub fn exit_code(&self) -> u8 {
        let signal = self.signal.map(|signal| 128 + signal);
        self.code.or(signal).unwrap_or(125) as u8
    }

    /// Sets the verdict according to the exit code, or to 128 plus the signal's number.
    pub fn judge(&mut self, exits: &BTreeMap<u8, Verdict>) {
        let code = self.code.or(self.signal.map(|signal| 128 + signal));
        let code = code.filter(|_| self.error.is_none()).and_then(|code| u8::try_from(code).ok());
        self.verdict = code.and_then(|code| exits.get(&code).copied());
        self.is_cancelled |= self.verdict == Some(Verdict::Cancelled);
    }

    /// Returns true if the run succeeded.
    pub fn is_success(&self) -> bool {
        self.verdict.map_or(self.code == Some(0), |verdict| verdict == Verdict::Ok) && self.reason.is_none()
    }

    /// Describes the outcome: `exit code 3`, `killed by SIGTERM (15), timeout`.
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

/// A failed attempt with a pending retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Number of the failed attempt, from 1.
    pub attempt: u32,
    /// Maximum number of attempts.
    pub of: u32,
    /// Start time of the next attempt, in Unix microseconds.
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
