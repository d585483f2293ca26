//! The summary of a run: outcome, failing path, slowest steps, and the comparison with the last good run.
//!
//! [`Summary::new`] takes plain data from any source. [`render()`] makes a text of it, for a terminal or as Markdown. [`annotations()`] makes the
//! lines that GitHub shows in the source.

mod annotations;
mod comparison;
mod render;
mod source;
mod steps;

use std::collections::HashMap;

use monitor_state::{failing_path, parents, took_ns};
use monitor_wire::{Error, Process, ProcessId, Root, State};
use serde::Serialize;

pub(crate) use self::annotations::{annotation, annotations};
use self::comparison::Comparison;
pub(crate) use self::render::{Form, bare, render};
pub(crate) use self::source::Fetched;
pub(crate) use self::steps::Step;

/// A run with its processes in pre-order, beginning with the root's own process. Depths are set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run<'a> {
    pub(crate) root: &'a Root,
    pub(crate) processes: &'a [Process],
}

/// The summary of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Summary<'a> {
    root: &'a Root,
    /// From the root's own process down to the failure; empty unless the run failed or was lost.
    failing_path: Vec<Failed<'a>>,
    /// The steps that took the most time of their own, the slowest first.
    slowest: Vec<Step<'a>>,
    /// Comparison with the last good run, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_good: Option<Comparison<'a>>,
    /// Address of the run on the page.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip)]
    now_us: u64,
}

/// A process on the failing path.
#[derive(Debug, Serialize)]
pub(crate) struct Failed<'a> {
    id: ProcessId,
    name: &'a str,
    state: &'a State,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a Error>,
    /// Reason for the end, as one word.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    /// Place of the failure, as `file:line`.
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<String>,
}

impl<'a> Summary<'a> {
    /// Summarizes a run. `last_good` is the newest succeeded run of the same name before it; `page` is the server's address, for links.
    pub(crate) fn new(run: Run<'a>, last_good: Option<Run<'a>>, page: Option<&str>, now_us: u64) -> Self {
        let others = run.processes.iter().zip(parents(run.processes)).skip(1);
        let path = match run.processes.first() {
            Some(own) => failing_path(own, others.map(|(process, parent)| (parent.map(|parent| run.processes[parent].id), process))),
            None => Vec::new(),
        };
        let failed = |process: &'a Process| Failed {
            id: process.id,
            name: &process.name,
            state: &process.state,
            error: process.error.as_ref(),
            reason: process.reason.as_deref(),
            place: place(process).map(|source| format!("{}:{}", source.file, source.line)),
        };
        Self {
            root: run.root,
            failing_path: path.into_iter().map(failed).collect(),
            slowest: steps::slowest(run, now_us),
            last_good: last_good.map(|good| Comparison::new(run, good, now_us)),
            url: page.map(|page| format!("{}/tasks/{}", page.trim_end_matches('/'), run.root.root_id)),
            now_us,
        }
    }
}

/// The place in the source of a failure: that of the error, or else that of the process.
fn place(process: &Process) -> Option<&monitor_wire::Source> {
    process.error.as_ref().and_then(|error| error.source.as_ref()).or(process.source.as_ref())
}

/// Returns for each process the time when none of its children ran. It is 0 for a step that only waits for its children.
fn own_times(processes: &[Process], now_us: u64) -> Vec<u64> {
    let parents = parents(processes);
    let mut covered: HashMap<usize, Vec<(u64, u64)>> = HashMap::new();
    let mut counted: HashMap<usize, u64> = HashMap::new();
    for (process, parent) in processes.iter().zip(&parents) {
        let Some(parent) = *parent else { continue };
        if let Some(fold) = &process.fold {
            *counted.entry(parent).or_default() += fold.total_ns;
        } else if let Some(started) = process.started_us {
            let end = started.saturating_add(elapsed_ns(process, now_us) / 1_000);
            covered.entry(parent).or_default().push((started, end));
        }
    }
    let own = |(index, process): (usize, &Process)| {
        let (from, took) = (process.started_us.unwrap_or(0), elapsed_ns(process, now_us));
        let within = from..from.saturating_add(took / 1_000);
        let mut spans = covered.remove(&index).unwrap_or_default();
        spans.sort_unstable();
        let (mut end, mut below_us) = (within.start, 0_u64);
        for (begin, finish) in spans {
            let (begin, finish) = (begin.max(end), finish.min(within.end));
            below_us += finish.saturating_sub(begin);
            end = end.max(finish);
        }
        took.saturating_sub(below_us.saturating_mul(1_000)).saturating_sub(counted.get(&index).copied().unwrap_or(0))
    };
    processes.iter().enumerate().map(own).collect()
}

/// Duration of a process, until now if it runs, 0 if it is unknown.
fn elapsed_ns(process: &Process, now_us: u64) -> u64 {
    took_ns(process, now_us).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Processes of these depths, starts and durations in µs.
    fn processes(shape: &[(u32, u64, u64)]) -> Vec<Process> {
        let process = |(index, (depth, started, took)): (usize, &(u32, u64, u64))| {
            json!({
                "id": format!("{:016x}", index + 1), "root_id": "0199a3ce929d0e0e47360199a3ce929d", "name": format!("p{index}"), "kind": "normal",
                "state": "succeeded", "attempt": 1, "started_us": started, "elapsed_ns": took * 1_000, "attachment": "explicit", "orphan": false,
                "links": [], "fields": {}, "depth": depth,
            })
        };
        let processes: Vec<_> = shape.iter().enumerate().map(process).collect();
        serde_json::from_value(json!(processes)).expect("processes")
    }

    #[test]
    fn steps_that_take_longer_than_in_the_good_run_are_slower() {
        let counts = json!({"pending": 0, "running": 0, "succeeded": 0, "failed": 0, "cancelled": 0, "lost": 0});
        let root = json!({"root_id": "0199a3ce929d0e0e47360199a3ce929d", "number": 7, "name": "p0", "title": "p0 <7>", "state": "succeeded", "counts": counts});
        let root: Root = serde_json::from_value(root).expect("a root");
        let good = processes(&[(0, 0, 5_000_000), (1, 0, 1_000_000), (1, 2_000_000, 1_000_000), (1, 4_000_000, 50_000)]);
        let slow = processes(&[(0, 0, 9_000_000), (1, 0, 1_200_000), (1, 2_000_000, 1_300_000), (1, 4_000_000, 140_000)]);
        let (good, slow) = (Run { root: &root, processes: &good }, Run { root: &root, processes: &slow });
        let summary = Summary::new(slow, Some(good), None, 10_000_000);
        let slower = &summary.last_good.as_ref().expect("compared").slower;
        assert_eq!((slower.count, slower.first[0].name, slower.first[0].before_ns), (2, "p2", 1_000_000_000));
        assert!(render(&summary, Form::Markdown).contains("- Slower: `p2` 1.3 s instead of 1.0 s, `p3` 140 ms instead of 50"));
        let same = render(&Summary::new(good, Some(good), None, 10_000_000), Form::Markdown);
        assert!(same.contains("No new failures, slower steps or missing steps."), "{same}");
    }

    #[test]
    fn own_time_is_what_children_do_not_cover() {
        for (shape, expected) in [
            (&[(0, 1_000, 100)][..], &[100][..]),
            (&[(0, 1_000, 100), (1, 1_010, 30), (1, 1_050, 20)], &[50, 30, 20]),
            // In parallel, and one within the other.
            (&[(0, 1_000, 100), (1, 1_010, 50), (1, 1_020, 10), (1, 1_040, 40)], &[30, 50, 10, 40]),
            // Longer than its parent, and begun before it.
            (&[(0, 1_000, 100), (1, 990, 20), (1, 1_090, 100)], &[80, 20, 100]),
            (&[(0, 1_000, 100), (1, 1_000, 100), (2, 1_000, 40)], &[0, 60, 40]),
            (&[], &[]),
        ] {
            let own: Vec<_> = own_times(&processes(shape), 9_000).iter().map(|ns| ns / 1_000).collect();
            assert_eq!(own, expected, "{shape:?}");
        }
    }
}
