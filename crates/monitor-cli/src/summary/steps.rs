//! The slowest steps of a run.

use monitor_wire::{Process, ProcessId};
use serde::Serialize;

use super::{Run, elapsed_ns, own_times};

/// Number of steps that are listed.
const SLOWEST: usize = 5;

/// A step and its own time: the time when none of its children ran.
#[derive(Debug, Serialize)]
pub(crate) struct Step<'a> {
    pub(crate) id: ProcessId,
    pub(crate) name: &'a str,
    pub(crate) own_ns: u64,
    /// Share of the run's time, 0 to 1. The shares of steps that run in parallel can add up to more than 1.
    pub(crate) share: f64,
}

/// The steps with the most time of their own. A run without steps has only the command itself, which is not listed.
pub(super) fn slowest(run: Run<'_>, now_us: u64) -> Vec<Step<'_>> {
    let own = own_times(run.processes, now_us);
    let total = run.processes.first().map_or(0, |process| elapsed_ns(process, now_us));
    let mut steps: Vec<(&Process, u64)> = run.processes.iter().zip(own).skip(1).filter(|(_, own)| *own > 0).collect();
    steps.sort_by_key(|(process, own)| (std::cmp::Reverse(*own), process.id));
    let share = |own: u64| if total == 0 { 0.0 } else { own as f64 / total as f64 };
    steps
        .into_iter()
        .take(SLOWEST)
        .map(|(process, own_ns)| Step { id: process.id, name: &process.name, own_ns, share: share(own_ns) })
        .collect()
}
