//! Steps of a run. Each step is a file that is written before the next step is taken, so that another program can later determine what
//! happened.
//!
//! ```text
//! claimed.json       a launcher has taken the run: made once, so that no other launcher takes it
//! executing-N.json   attempt N is about to be started; nothing of it has run yet
//! running-N.json     the process that becomes the command of attempt N, written by itself before it does so
//! ended-N.json       how attempt N ended
//! outcome.json       how the run ended
//! ```
//!
//! Decisions after a power cut depend on `executing` and on the files after the command. These are synced, `executing` before the command
//! is started. The other two matter only as long as the processes that they name are alive. If a power cut loses `claimed`, a run that was
//! never started is started. If it loses `running`, a started run is lost, as it would be with the file.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::folder::{create_new, now_us, read, replace, write_synced};
use crate::identity::Identity;
use crate::outcome::Outcome;

/// File that names the launcher that has claimed a run.
pub(crate) const CLAIMED: &str = "claimed.json";
/// File with the outcome of a run.
pub(crate) const OUTCOME: &str = "outcome.json";

/// Furthest step of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The run was requested, and no launcher has claimed it.
    Asked,
    /// A launcher has claimed the run. No command was started.
    Claimed,
    /// The attempt with this number is about to be started.
    Executing(u32),
    /// The command of this attempt was started.
    Running(u32),
    /// The attempt with this number has ended, and the run has not.
    AttemptEnded(u32),
    /// The run has ended.
    Ended,
}

/// Process and time of a step.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Taken {
    /// Launcher that has claimed the run, or process that becomes the command.
    pub(crate) by: Option<Identity>,
    /// Time of the step, in Unix microseconds.
    pub(crate) at_us: u64,
}

impl Taken {
    fn now() -> Self {
        Self { by: Identity::own(), at_us: now_us() }
    }
}

pub(crate) fn claim(folder: &Path) -> io::Result<()> {
    create_new(folder, CLAIMED, &Taken::now())
}

pub(crate) fn executing(folder: &Path, attempt: u32) -> io::Result<()> {
    write_synced(folder, &format!("executing-{attempt}.json"), &Taken::now())
}

pub(crate) fn running(folder: &Path, attempt: u32) -> io::Result<()> {
    replace(folder, &format!("running-{attempt}.json"), &Taken::now())
}

pub(crate) fn attempt_ended(folder: &Path, attempt: u32, outcome: &Outcome) -> io::Result<()> {
    write_synced(folder, &format!("ended-{attempt}.json"), outcome)
}

pub(crate) fn ended(folder: &Path, outcome: &Outcome) -> io::Result<()> {
    write_synced(folder, OUTCOME, outcome)
}

/// Returns the outcomes of the ended attempts with their numbers, first attempt first.
pub(crate) fn attempts(folder: &Path) -> Vec<(u32, Outcome)> {
    let mut attempts: Vec<_> =
        numbers(folder, "ended-").filter_map(|number| Some((number, read(&folder.join(format!("ended-{number}.json"))).ok()?))).collect();
    attempts.sort_by_key(|(number, _)| *number);
    attempts
}

/// Returns number and command of the last started attempt.
pub(crate) fn last_command(folder: &Path) -> Option<(u32, Identity)> {
    let number = numbers(folder, "running-").max()?;
    let taken: Taken = read(&folder.join(format!("running-{number}.json"))).ok()?;
    Some((number, taken.by?))
}

/// Returns the furthest step of a run.
pub(crate) fn last(folder: &Path) -> Step {
    let names: Vec<_> = names(folder).collect();
    if names.iter().any(|name| name == OUTCOME) {
        return Step::Ended;
    }
    let steps = [("executing-", 1), ("running-", 2), ("ended-", 3)];
    let furthest = names.iter().flat_map(|name| steps.map(|(prefix, step)| Some((number(name, prefix)?, step)))).flatten().max();
    match furthest {
        Some((number, 3)) if number > 0 => Step::AttemptEnded(number),
        Some((number, 2)) if number > 0 => Step::Running(number),
        Some((number, _)) if number > 0 => Step::Executing(number),
        _ if names.iter().any(|name| name == CLAIMED) => Step::Claimed,
        _ => Step::Asked,
    }
}

fn numbers(folder: &Path, prefix: &'static str) -> impl Iterator<Item = u32> {
    names(folder).filter_map(move |name| number(&name, prefix))
}

fn names(folder: &Path) -> impl Iterator<Item = OsString> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name())
}

fn number(name: &OsStr, prefix: &str) -> Option<u32> {
    name.to_str()?.strip_prefix(prefix)?.strip_suffix(".json")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_furthest_step_is_known_by_the_files_that_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let mut seen = vec![last(path)];
        claim(path).unwrap();
        seen.push(last(path));
        for attempt in [1, 2, 10] {
            executing(path, attempt).unwrap();
            seen.push(last(path));
            running(path, attempt).unwrap();
            seen.push(last(path));
            attempt_ended(path, attempt, &Outcome { code: Some(attempt as i32), ..Outcome::default() }).unwrap();
            seen.push(last(path));
        }
        ended(path, &Outcome::default()).unwrap();
        seen.push(last(path));
        let each = |number| [Step::Executing(number), Step::Running(number), Step::AttemptEnded(number)];
        let mut expected = vec![Step::Asked, Step::Claimed];
        expected.extend([1, 2, 10].into_iter().flat_map(each));
        expected.push(Step::Ended);
        assert_eq!(seen, expected);
        let codes: Vec<_> = attempts(path).into_iter().map(|(number, outcome)| (number, outcome.code)).collect();
        assert_eq!(codes, [(1, Some(1)), (2, Some(2)), (10, Some(10))]);
        assert_eq!(last_command(path).map(|(number, command)| (number, command.pid)), Some((10, std::process::id())));
        assert_eq!(claim(path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn files_with_malformed_names_are_no_steps() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["ended-.json", "ended-x.json", "ended-99999999999.json", "running-1", "executing--1.json"] {
            fs::write(folder.path().join(name), "{").unwrap();
        }
        assert_eq!((last(folder.path()), attempts(folder.path()).len()), (Step::Asked, 0));
        fs::write(folder.path().join("running-1.json"), "{").unwrap();
        assert_eq!((last(folder.path()), last_command(folder.path())), (Step::Running(1), None));
    }
}
