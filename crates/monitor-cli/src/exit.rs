//! Exit codes, and the output of errors.

use std::borrow::Cow;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use monitor_api::Error;
#[cfg(unix)]
use monitor_celery::BrokerError;
use monitor_http::with_causes;
use monitor_server::access::AccessError;

use crate::text::visible;

/// Exit codes as `--help` shows them: those that all commands have, and `$more`.
macro_rules! codes {
    ($($more:literal),*) => {
        concat!("Exit codes:\n  0  success\n  1  failure\n  2  wrong usage", $("\n  ", $more),*)
    };
}
pub(crate) use codes;

/// Exit codes of commands that use no server.
pub(crate) const LOCAL: &str = codes!();

/// Exit codes of commands about named tokens and users, which use no server.
pub(crate) const NAMED: &str = codes!("4  not found");

/// Exit codes of commands that use a server, but no workers.
pub(crate) const SERVER: &str = codes!("3  server not reached", "4  not found");

/// Exit codes of commands that use workers. These are all exit codes.
pub(crate) const HELP: &str = codes!(
    "3  server not reached",
    "4  not found",
    "5  no worker answered, or none supports the method",
    "6  only some workers, tasks or processes did what was requested"
);

/// Workers did not answer, or did not all do what was requested.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unanswered {
    #[error("no reply: no worker matches the request")]
    NobodyMeant,
    #[error("no reply: {asked} were asked")]
    Nobody { asked: usize },
    #[error("{done} of {asked} workers did it")]
    NotAll { done: usize, asked: usize },
    #[error("no reply: {0}")]
    NobodyDoes(String),
    #[error("{done} of {meant} tasks run again")]
    NotAllTasks { done: usize, meant: usize },
    #[error("{running} of {meant} processes go on")]
    GoOn { running: u64, meant: u64 },
}

/// A job on hosts did not succeed, or was not followed to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JobNotDone {
    #[error("{0}")]
    Failed(String),
    #[error("timed out after {after}: {hosts}")]
    TimedOut { after: String, hosts: String },
    #[error("job {job} continues: follow it with `monitor job wait {job}`, end it with `monitor job stop {job}`")]
    Left { job: u64 },
}

impl JobNotDone {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) => 6,
            // The exit code of the command `timeout`.
            Self::TimedOut { .. } => 124,
            // The exit code of shells after SIGINT.
            Self::Left { .. } => 130,
        }
    }
}

/// A requested thing that doesn't exist.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NotThere(pub(crate) String);

/// A command line that is well-formed, but can't be executed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Misused(pub(crate) String);

impl Unanswered {
    fn exit_code(&self) -> u8 {
        match self {
            Self::NobodyMeant | Self::Nobody { .. } | Self::NobodyDoes(_) => 5,
            Self::NotAll { .. } | Self::NotAllTasks { .. } | Self::GoOn { .. } => 6,
        }
    }
}

pub(crate) fn report(result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    // A closed pipe means that the reader has finished, as with `| head`.
    if error.chain().any(is_broken_pipe) {
        return ExitCode::SUCCESS;
    }
    let client_error = error.downcast_ref::<Error>();
    let mut message = format!("monitor: {}\n", visible(&with_causes(error.as_ref())));
    if let Some(hint) = client_error.and_then(hint) {
        message.push_str(&hint);
        message.push('\n');
    }
    // If stderr is closed, the message is lost.
    let _ = anstream::stderr().write_all(message.as_bytes());
    let unanswered = error.downcast_ref::<Unanswered>().map(Unanswered::exit_code);
    let no_name = error.downcast_ref::<AccessError>().filter(|error| matches!(error, AccessError::Missing { .. })).map(|_| 4);
    let not_there = error.downcast_ref::<NotThere>().map(|_| 4).or(no_name);
    let no_terminal = error.downcast_ref::<monitor_top::Error>().filter(|error| matches!(error, monitor_top::Error::NoTerminal)).map(|_| 2);
    let misused = error.downcast_ref::<Misused>().map(|_| 2);
    let of_job = error.downcast_ref::<JobNotDone>().map(JobNotDone::exit_code);
    #[cfg(unix)]
    let of_broker = error.downcast_ref::<BrokerError>().map(|error| if error.is_temporary() { 3 } else { 1 });
    #[cfg(not(unix))]
    let of_broker = None;
    ExitCode::from(
        unanswered.or(of_job).or(of_broker).or(not_there).or(no_terminal).or(misused).or(client_error.map(exit_code)).unwrap_or(1),
    )
}

fn exit_code(error: &Error) -> u8 {
    match (error, error.problem().map(|problem| problem.status)) {
        (Error::Unreachable { .. }, _) => 3,
        (_, Some(404 | 410)) => 4,
        (Error::Setting(_), _) | (_, Some(400)) => 2,
        _ => 1,
    }
}

fn hint(error: &Error) -> Option<String> {
    let hint = error.hint()?.replace("by MONITOR_SERVER_URL", "with --server or MONITOR_SERVER_URL");
    Some(format!("hint: {hint}"))
}

/// Prints a mistake in the command line, or the help that was requested.
pub(crate) fn misread(error: &clap::Error) {
    if !error.use_stderr() {
        let _ = error.print();
        return;
    }
    let is_harmless = |arg: OsString| matches!(visible(&arg.to_string_lossy()), Cow::Borrowed(_));
    if std::env::args_os().all(is_harmless) {
        let _ = write!(anstream::stderr(), "{}", about_numbers(&error.render().ansi().to_string()));
        return;
    }
    // The error repeats the input, which contains control characters, so colours are omitted and the rest is escaped.
    let text = about_numbers(&error.render().to_string());
    for line in text.lines() {
        let _ = writeln!(anstream::stderr(), "{}", visible(line));
    }
}

/// Replaces what Rust's standard library says about malformed numbers.
fn about_numbers(text: &str) -> String {
    let replacements = [
        ("invalid digit found in string", "expected a whole number"),
        ("cannot parse integer from empty string", "expected a whole number"),
        ("number too large to fit in target type", "the number is too large"),
        ("invalid float literal", "expected a number"),
    ];
    replacements.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

fn is_broken_pipe(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
