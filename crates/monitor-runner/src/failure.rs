//! Describes the failure of a command: the reason why it could not be started, and whether its output can explain the failure.

use std::io;
use std::path::Path;

use monitor_runs::{Outcome, Spec};

use crate::messages::Stage;

/// Creates the outcome of a command that could not be started. `stage` is the step that failed.
pub(crate) fn not_started(spec: &Spec, stage: Stage, error: &io::Error) -> Outcome {
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
        (Stage::Step, _) => (125, "not-started", format!("its start can't be written down in its folder: {error}")),
        (Stage::User, _) => {
            let who = [&spec.user, &spec.group].into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(":");
            (125, "not-started", format!("it can't run as {who} (--user, --group): {error}"))
        }
        (Stage::Terminal, _) => (125, "not-started", format!("it can't have a terminal: {error}")),
    };
    Outcome { code: Some(code), reason: Some(reason.to_owned()), error: Some(why), ..Outcome::default() }
}

/// Returns true if the output may contain the reason for the failure: the command exited by itself, or aborted with SIGABRT, as a program
/// does after an internal error.
pub(crate) fn is_told_by_output(outcome: &Outcome) -> bool {
    !outcome.is_success()
        && outcome.reason.is_none()
        && outcome.error.is_none()
        && outcome.signal.is_none_or(|signal| signal == libc::SIGABRT)
}
