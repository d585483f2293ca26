//! What exit codes and signals mean, apart from the words of a language.

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
    /// The command could not be started.
    NotStarted,
    /// The command can't be executed.
    NotExecutable,
    /// There is no such command.
    NotFound,
    /// A signal of this name ended it.
    Signal(&'static str),
    /// A word of the task's `exit`, or of the monitor's own codes.
    Word(&'a str),
}

/// What a code means. `word`: what is known of it.
pub(super) fn meaning(code: i64, word: Option<&str>) -> Option<Exit<'_>> {
    Some(match (word, code) {
        (Some(word), _) => Exit::Word(word),
        (None, 125) => Exit::NotStarted,
        (None, 126) => Exit::NotExecutable,
        (None, 127) => Exit::NotFound,
        // Shells say of a command that a signal ended: 128 and its number.
        (None, code) => Exit::Signal(signal(code.checked_sub(128)?)?),
    })
}

/// Name of a signal.
pub(super) fn signal(number: i64) -> Option<&'static str> {
    usize::try_from(number).ok()?.checked_sub(1).and_then(|place| SIGNALS.get(place)).copied()
}
