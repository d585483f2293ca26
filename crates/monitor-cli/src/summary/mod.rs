//! The summary of a run: outcome, failing path, slowest steps, and the comparison with the last good run.
//!
//! [`Summary::new`] takes plain data, whatever it was read from. [`render`] makes a text of it, for a terminal or as Markdown; [`annotations`]
//! makes the lines that GitHub shows in the source.

mod annotations;
mod comparison;
mod render;
mod source;
mod steps;

use std::collections::HashMap;

use monitor_state::failing_path;
use monitor_wire::{Error, Process, ProcessId, Root, State};
use serde::Serialize;

pub(crate) use self::annotations::{annotation, annotations};
pub(crate) use self::comparison::Comparison;
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

/// Index of the parent that each process is shown below: the closest process before it with a smaller depth.
fn parents(processes: &[Process]) -> Vec<Option<usize>> {
    let mut above: Vec<usize> = Vec::new();
    let parent = |(index, process): (usize, &Process)| {
        // Only the first process is the root, whatever the data contains.
        let depth = if index == 0 { 0 } else { process.depth.map_or(1, |depth| depth.max(1) as usize) };
        above.truncate(depth);
        let parent = above.last().copied();
        above.push(index);
        parent
    };
    processes.iter().enumerate().map(parent).collect()
}

/// Time in which nothing below a process ran, by process: a step that only waits for its children has none.
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

/// Duration of a process, until now if it runs.
fn elapsed_ns(process: &Process, now_us: u64) -> u64 {
    let running = process.started_us.filter(|_| process.state == State::RUNNING).map(|started| now_us.saturating_sub(started) * 1_000);
    process.elapsed_ns.or(process.fold.as_ref().map(|fold| fold.total_ns)).or(running).unwrap_or(0)
}
