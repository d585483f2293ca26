//! What a camera sees of a state.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use monitor_wire::{Process, Worker};
use serde::Serialize;

use crate::state::{Mark, State};

/// What changed in a state since a moment, and its counts. Its JSON is a line of a [`FileCamera`](super::FileCamera), and what others send.
///
/// ```
/// use monitor_receiver::{State, camera::Picture};
///
/// let state = State::default();
/// let picture = Picture::since(&state, Default::default());
/// assert!(serde_json::to_string(&picture).unwrap().contains(r#""event_count":0"#));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Picture<'a> {
    /// When it was taken, in Unix microseconds.
    pub time_us: u64,
    /// Number of the newest event that it knows.
    pub as_of: u64,
    /// How many events came.
    pub event_count: u64,
    /// How many tasks were seen.
    pub task_count: u64,
    /// How many tasks had to go because there were too many.
    pub forgotten_tasks: u64,
    /// How many workers had to go because there were too many.
    pub forgotten_workers: u64,
    /// How many events of which type came of which worker; `""` stands for events of none.
    pub counts: BTreeMap<String, &'a BTreeMap<String, u64>>,
    /// Workers of which something was heard since.
    pub workers: Vec<&'a Worker>,
    /// Tasks that changed since, the one that changed last first.
    pub tasks: Vec<&'a Process>,
}

impl<'a> Picture<'a> {
    /// What changed since a moment: all that is known since [`Mark::default`].
    pub fn since(state: &'a State, mark: Mark) -> Self {
        let name = |worker: Option<monitor_wire::WorkerId>| worker.map(|id| id.to_string()).unwrap_or_default();
        Self {
            time_us: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64),
            as_of: state.newest(),
            event_count: state.event_count(),
            task_count: state.task_count(),
            forgotten_tasks: state.forgotten_tasks(),
            forgotten_workers: state.forgotten_workers(),
            counts: state.all_counts().map(|(worker, counts)| (name(worker), counts)).collect(),
            workers: state.workers_since(mark).collect(),
            tasks: state.tasks_since(mark).collect(),
        }
    }
}
