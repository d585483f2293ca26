//! Content of a picture.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use monitor_wire::{Process, Worker};
use serde::Serialize;

use crate::state::{Mark, State};

/// Changes of a state since a mark, with counts. Its JSON is a line of a [`FileCamera`](super::FileCamera), and the content that other
/// cameras send.
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
    /// Time of the picture, in Unix microseconds.
    pub time_us: u64,
    /// Number of the newest event in the state.
    pub as_of: u64,
    /// Number of received events.
    pub event_count: u64,
    /// Number of tasks seen.
    pub task_count: u64,
    /// Number of tasks forgotten because there were too many.
    pub forgotten_tasks: u64,
    /// Number of workers forgotten because there were too many.
    pub forgotten_workers: u64,
    /// Number of events by worker and type; `""` is for events without a worker.
    pub counts: BTreeMap<String, &'a BTreeMap<String, u64>>,
    /// Workers with events since the mark.
    pub workers: Vec<&'a Worker>,
    /// Tasks that have changed since the mark, most recently changed first.
    pub tasks: Vec<&'a Process>,
}

impl<'a> Picture<'a> {
    /// Creates a picture of the changes since a mark, or of the whole state since [`Mark::default`].
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
