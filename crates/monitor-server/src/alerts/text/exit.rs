//! What exit codes and signals mean, apart from the words of a language.

use monitor_tasks::EndReason;

/// Names of signals, from 1, as Linux numbers them.
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
    /// The command's own code says nothing of it.
    Reason(EndReason),
    /// A signal of this name ended it.
    Signal(&'static str),
    /// A word of the task's `exit`.
    Task(&'a str),
}

/// What a code means. `word`: what is known of it.
pub(super) fn meaning(code: i64, word: Option<&str>) -> Option<Exit<'_>> {
    // Of a process that is no run as well: shells give these codes.
    let not_started = [EndReason::NotStarted, EndReason::NotExecutable, EndReason::NotFound];
    if let Some(word) = word {
        return Some(EndReason::by_word(word).map_or(Exit::Task(word), Exit::Reason));
    }
    Some(match not_started.into_iter().find(|reason| code == i64::from(reason.code())) {
        Some(reason) => Exit::Reason(reason),
        // Shells say of a command that a signal ended: 128 and its number.
        None => Exit::Signal(signal(code.checked_sub(128)?)?),
    })
}

/// Name of a signal.
pub(super) fn signal(number: i64) -> Option<&'static str> {
    usize::try_from(number).ok()?.checked_sub(1).and_then(|place| SIGNALS.get(place)).copied()
}
