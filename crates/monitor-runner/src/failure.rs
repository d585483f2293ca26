//! What is said of a command that failed: why it could not be started, and whether its output says why.

use std::io;
use std::path::Path;

use monitor_runs::{Outcome, Spec};

use crate::messages::Stage;

/// It could not be started: while doing what, and why.
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

/// Whether its output may say why it failed: it ended by itself, or gave up with SIGABRT as a program does that finds itself broken.
pub(crate) fn is_told_by_output(outcome: &Outcome) -> bool {
    !outcome.is_success()
        && outcome.reason.is_none()
        && outcome.error.is_none()
        && outcome.signal.is_none_or(|signal| signal == libc::SIGABRT)
}
