//! Reads the marks that the commands of tasks write, and compares them with the due times.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use crate::report::Samples;

/// A command that was started up to this much too early is assigned to the following due time, because timers are rounded.
const EARLY_US: u64 = 500_000;
const SECOND_US: u64 = 1_000_000;
const MINUTE_US: u64 = 60 * SECOND_US;

/// Script of the tasks: each run appends a line with its own time and the task's name in one write.
const MARK: &str = r#"#!/bin/bash
printf '%s %s\n' "${EPOCHREALTIME/[.,]/}" "$1" >> "${0%/*}/marks"
"#;

/// A task of the bench.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) name: String,
    /// Six fields, the second first.
    pub(crate) rule: String,
    /// The second of each minute at which it is due; `None` if it isn't due during the benchmark.
    second: Option<u64>,
}

/// Returns `count` tasks: `at_once` are due at each of these seconds of each minute, the others on 29 February.
pub(crate) fn tasks(count: usize, seconds: std::ops::Range<u64>, at_once: usize) -> Vec<Task> {
    let busy = seconds.flat_map(|second| (0..at_once).map(move |number| (second, number)));
    let busy = busy.map(|(second, number)| Task {
        name: format!("busy-{second:02}-{number}"),
        rule: format!("{second} * * * * *"),
        second: Some(second),
    });
    let idle = (0..count).map(|number| Task {
        name: format!("idle-{number}"),
        rule: format!("0 {} {} 29 2 *", number % 60, number / 60 % 24),
        second: None,
    });
    busy.chain(idle).take(count).collect()
}

/// The command of all tasks of a scheduler.
#[derive(Debug)]
pub(crate) struct Marks {
    folder: PathBuf,
}

/// Comparison of all due times of a period with the runs.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) due: u64,
    pub(crate) missed: u64,
    /// Runs beyond the first of a due time.
    pub(crate) doubled: u64,
    /// Milliseconds from the due time to the command's first run.
    pub(crate) late_ms: Samples,
}

impl Outcome {
    /// Due times that did not have one run.
    pub(crate) fn wrong(&self) -> f64 {
        (self.missed + self.doubled) as f64
    }
}

impl Marks {
    /// Writes the command into a folder.
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let marks = Self { folder: folder.to_owned() };
        fs::write(marks.command(), MARK)?;
        fs::set_permissions(marks.command(), fs::Permissions::from_mode(0o755))?;
        Ok(marks)
    }

    /// The command's path; it gets the task's name.
    pub(crate) fn command(&self) -> PathBuf {
        self.folder.join("mark")
    }

    /// Compares the runs with the due times from `from_us` to `to_us`, in microseconds.
    pub(crate) fn outcome(&self, tasks: &[Task], from_us: u64, to_us: u64) -> Result<Outcome> {
        // The first command that runs makes it.
        let text = fs::read_to_string(self.folder.join("marks")).unwrap_or_default();
        outcome(tasks, &text, from_us, to_us)
    }
}

fn outcome(tasks: &[Task], marks: &str, from_us: u64, to_us: u64) -> Result<Outcome> {
    let busy: BTreeMap<&str, u64> = tasks.iter().filter_map(|task| Some((task.name.as_str(), task.second?))).collect();
    let mut runs = BTreeMap::<(&str, u64), Vec<u64>>::new();
    for line in marks.lines() {
        let (at, name) = line.split_once(' ').with_context(|| format!("{line:?} is no mark"))?;
        let at: u64 = at.parse().with_context(|| format!("{line:?} is no mark"))?;
        let second = busy.get(name).with_context(|| format!("{name} ran and was not due"))?;
        let offset = second * SECOND_US;
        let due = (at + EARLY_US - offset) / MINUTE_US * MINUTE_US + offset;
        runs.entry((name, due)).or_default().push(at);
    }
    let mut outcome = Outcome::default();
    for (name, second) in busy {
        let offset = second * SECOND_US;
        let first = (from_us - offset).div_ceil(MINUTE_US) * MINUTE_US + offset;
        for due in (first..to_us).step_by(MINUTE_US as usize) {
            outcome.due += 1;
            match runs.get(&(name, due)).map(|runs| (runs.len() as u64 - 1, runs.iter().min())) {
                Some((more, Some(first))) => {
                    outcome.doubled += more;
                    outcome.late_ms.add((*first as f64 - due as f64) / 1e3);
                }
                _ => outcome.missed += 1,
            }
        }
    }
    Ok(outcome)
}

/// The time of day in microseconds.
pub(crate) fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_micros() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_due_time_is_compared_with_its_runs() {
        let tasks = tasks(10, 0..2, 2);
        let names: Vec<_> = tasks.iter().take(5).map(|task| task.name.as_str()).collect();
        assert_eq!((names, tasks.len()), (vec!["busy-00-0", "busy-00-1", "busy-01-0", "busy-01-1", "idle-0"], 10));
        let minute = 29_000_000 * MINUTE_US;
        let mark = |after_us: i64, name: &str| format!("{} {name}\n", minute.strict_add_signed(after_us));
        // On time and once more, 2 ms too early, 30 s late; nothing at all.
        let marks = [mark(4_000, "busy-00-0"), mark(9_000, "busy-00-0"), mark(-2_000, "busy-00-1"), mark(31_000_000, "busy-01-0")].concat();
        let outcome = outcome(&tasks, &marks, minute, minute + 2 * SECOND_US).unwrap();
        assert_eq!((outcome.due, outcome.missed, outcome.doubled), (4, 1, 1));
        assert_eq!([0.0, 0.5, 1.0].map(|part| outcome.late_ms.quantile(part).to_string()), ["-2", "4", "30000"]);
        let later = super::outcome(&tasks, &marks, minute + 1, minute + MINUTE_US).unwrap();
        assert_eq!((later.due, later.missed), (2, 1), "what was due at the second 0 was due before");
    }

    #[test]
    fn invalid_marks_are_refused() {
        let tasks = tasks(1, 0..1, 1);
        assert!(outcome(&tasks, "12 idle-0\n", 0, 1).is_err() && outcome(&tasks, "soon busy-00-0\n", 0, 1).is_err());
    }
}
