//! Meaning of exit codes and signals, independent of the language.

use monitor_tasks::EndReason;

/// Names of signals from 1, as numbered by Linux.
const SIGNALS: [&str; 31] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

/// Meaning of an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit<'a> {
    /// The runner ended the command, or could not start it, so the code is not the command's own.
    Reason(EndReason),
    /// The command was ended by the signal of this name.
    Signal(&'static str),
    /// A word from the task's `exit` definition.
    Task(&'a str),
}

/// Returns the meaning of a code. `word` is the recorded meaning, if there is one.
pub(super) fn meaning(code: i64, word: Option<&str>) -> Option<Exit<'_>> {
    // Shells use these codes as well, so they also apply to processes that are not runs.
    let not_started = [EndReason::NotStarted, EndReason::NotExecutable, EndReason::NotFound];
    if let Some(word) = word {
        return Some(EndReason::by_word(word).map_or(Exit::Task(word), Exit::Reason));
    }
    Some(match not_started.into_iter().find(|reason| code == i64::from(reason.code())) {
        Some(reason) => Exit::Reason(reason),
        // Shells report a command that was ended by a signal as 128 plus the signal's number.
        None => Exit::Signal(signal(code.checked_sub(128)?)?),
    })
}

/// Returns the name of a signal.
pub(super) fn signal(number: i64) -> Option<&'static str> {
    usize::try_from(number).ok()?.checked_sub(1).and_then(|place| SIGNALS.get(place)).copied()
}
