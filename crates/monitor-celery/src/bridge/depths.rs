//! Reads at intervals how many tasks wait in the queues of a cluster.
//!
//! The queues are those that the nodes read, and those that the events of sent tasks name. Tasks in a queue that no node reads wait for ever.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use monitor_spool::now_us;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::inquiry::replies;
use crate::error::BrokerError;
use crate::flow::{Counts, Minute, oldest};
use crate::task_message::DEFAULT_QUEUE;
use crate::translate::Translator;
use crate::transport::{Connection, QueueState};

/// Pause between readings.
const EVERY: Duration = Duration::from_secs(5);
/// Number of readings in a minute.
const IN_A_MINUTE: usize = 12;
/// Time after which the nodes are asked again which queues they read.
const ASKED_EVERY: Duration = Duration::from_secs(60);
/// Maximum number of queues of a cluster.
pub(crate) const MOST_QUEUES: usize = 50;
/// Longest name of a queue, in bytes. This is RabbitMQ's limit.
const LONGEST_NAME: usize = 255;
/// Length of the series, in minutes.
const MINUTES: usize = 60;
const MINUTE_US: u64 = 60 * 1_000_000;

/// One reading of the queues.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Depths {
    /// The queues by their names. A queue that does not exist is absent.
    pub(crate) queues: BTreeMap<String, Queue>,
    /// Messages that workers have taken and not acknowledged, in all queues. None if the broker does not report it.
    pub(crate) unacknowledged: Option<u64>,
}

/// A queue at one reading.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Queue {
    pub(crate) state: QueueState,
    /// Numbers of the last minute. None while the bridge is not connected for a minute.
    pub(crate) last_minute: Option<Counts>,
    /// Time at which the oldest waiting task was sent, in Unix microseconds. None if no event about it is known.
    pub(crate) oldest_us: Option<u64>,
}

/// Reads the queues of a cluster.
pub(super) struct Sounding<'a> {
    /// Folder for the names of the queues. A queue that no node reads is known only from the events of sent tasks.
    pub(super) folder: &'a Path,
    pub(super) connection: &'a Mutex<Option<Arc<Connection>>>,
    pub(super) translator: &'a Mutex<Translator>,
    pub(super) read: UnboundedSender<Depths>,
}

impl Sounding<'_> {
    fn translator(&self) -> MutexGuard<'_, Translator> {
        self.translator.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads every five seconds while there is a connection. Never returns.
    pub(super) async fn keep(self) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut known, mut problem) = (Known::open(self.folder.join("queues")), String::new());
        let mut minute = Minute::new(IN_A_MINUTE);
        loop {
            ticks.tick().await;
            let (nodes, flow) = {
                let mut translator = self.translator();
                (translator.nodes().len(), translator.take_flow())
            };
            let destinations: Vec<_> = flow.destinations().collect();
            let Some(connection) = self.connection.lock().unwrap_or_else(PoisonError::into_inner).clone() else {
                known.add(destinations);
                minute.clear();
                continue;
            };
            minute.add(flow);
            known.ask(&connection, nodes).await;
            known.add(destinations);
            known.save();
            match known.read(&connection).await {
                Ok(mut depths) => {
                    problem.clear();
                    let mut waiting = self.translator().waiting();
                    for (name, queue) in &mut depths.queues {
                        queue.last_minute = minute.of(name);
                        queue.oldest_us = waiting.remove(name.as_str()).and_then(|times| oldest(times, queue.state.waiting));
                    }
                    let _ = self.read.send(depths);
                }
                Err(error) => {
                    let error = error.to_string();
                    if error != problem {
                        tracing::warn!("the queues can't be read: {error}");
                        problem = error;
                    }
                }
            }
        }
    }
}

/// The queues that are read.
#[derive(Debug)]
struct Known {
    /// File with their names, and the names in it.
    file: PathBuf,
    saved: BTreeSet<String>,
    names: BTreeSet<String>,
    /// Queues with waiting tasks at the last reading.
    waiting: BTreeSet<String>,
    /// Number of nodes that read each queue. None while a node has not replied.
    readers: Option<BTreeMap<String, u64>>,
    /// Number of nodes at the last question, and its time.
    asked: Option<(usize, Instant)>,
}

impl Known {
    fn open(file: PathBuf) -> Self {
        let text = std::fs::read(&file).unwrap_or_default();
        let saved: BTreeSet<String> = serde_json::from_slice(&text).unwrap_or_default();
        let (waiting, names) = (saved.clone(), [DEFAULT_QUEUE.to_owned()].into());
        let mut known = Self { file, saved: BTreeSet::new(), names, waiting, readers: None, asked: None };
        known.add(saved);
        known
    }

    /// Writes the names, if they have changed.
    fn save(&mut self) {
        if self.names == self.saved {
            return;
        }
        self.saved.clone_from(&self.names);
        if let Err(error) = std::fs::write(&self.file, json!(self.names).to_string()) {
            tracing::warn!(file = %self.file.display(), "the names of the queues can't be written: {error}");
        }
    }

    /// Asks the nodes which queues they read, if that is due.
    async fn ask(&mut self, connection: &Connection, nodes: usize) {
        if !self.asked.is_none_or(|(of, at)| of != nodes || at.elapsed() >= ASKED_EVERY) {
            return;
        }
        self.asked = Some((nodes, Instant::now()));
        let replies = if nodes > 0 { replies(connection, "active_queues", json!({}), nodes).await } else { Vec::new() };
        let mut readers = BTreeMap::new();
        for name in replies.iter().flat_map(|(_, queues)| names_of(queues)) {
            *readers.entry(name).or_default() += 1;
        }
        // Other queues are of interest while tasks wait in them.
        if !readers.is_empty() {
            self.names.clone_from(&self.waiting);
        }
        self.add(readers.keys().cloned());
        self.readers = (replies.len() >= nodes).then_some(readers);
    }

    fn add(&mut self, names: impl IntoIterator<Item = String>) {
        for name in names {
            if name.len() <= LONGEST_NAME && self.names.len() < MOST_QUEUES {
                self.names.insert(name);
            }
        }
    }

    async fn read(&mut self, connection: &Connection) -> Result<Depths, BrokerError> {
        let mut depths = Depths { unacknowledged: connection.unacknowledged().await?, ..Depths::default() };
        for (name, state) in self.names.iter().zip(connection.queues(&self.names).await?) {
            let Some(state @ QueueState { consumers, .. }) = state else { continue };
            let readers = self.readers.as_ref().map(|readers| readers.get(name).copied().unwrap_or_default());
            let state = QueueState { consumers: consumers.or(readers), ..state };
            depths.queues.insert(name.clone(), Queue { state, ..Queue::default() });
        }
        let waiting = depths.queues.iter().filter(|(_, queue)| queue.state.waiting > 0);
        self.waiting = waiting.map(|(name, _)| name.clone()).collect();
        Ok(depths)
    }
}

/// Names of the queues in a node's reply to `active_queues`.
pub(crate) fn names_of(queues: &Value) -> Vec<String> {
    let queues = queues.as_array().map(Vec::as_slice).unwrap_or_default().iter();
    queues.filter_map(|queue| queue.get("name")?.as_str().map(str::to_owned)).collect()
}

/// The most waiting tasks of each queue in each of the last minutes.
#[derive(Debug, Default)]
pub(crate) struct Series {
    minute: u64,
    /// Minutes of each queue, oldest first. None for a minute without a reading.
    queues: BTreeMap<String, VecDeque<Option<u64>>>,
}

impl Series {
    /// Adds a reading of now. Returns the series as JSON when a minute is complete.
    pub(crate) fn add(&mut self, depths: &Depths) -> Option<Value> {
        self.add_at(depths, now_us() / MINUTE_US)
    }

    fn add_at(&mut self, depths: &Depths, minute: u64) -> Option<Value> {
        let passed = if self.minute == 0 { 0 } else { minute.saturating_sub(self.minute) };
        let complete = (passed > 0).then(|| self.to_json());
        self.minute = self.minute.max(minute);
        for series in self.queues.values_mut() {
            series.extend(std::iter::repeat_n(None, usize::try_from(passed).unwrap_or(MINUTES).min(MINUTES)));
            series.drain(..series.len().saturating_sub(MINUTES));
        }
        self.queues.retain(|_, series| series.iter().any(Option::is_some));
        for name in depths.queues.keys() {
            self.queues.entry(name.clone()).or_insert_with(|| [None].into());
        }
        for (name, series) in &mut self.queues {
            let now = depths.queues.get(name).map(|queue| queue.state.waiting);
            if let Some(last) = series.back_mut() {
                *last = (*last).max(now);
            }
        }
        complete
    }

    fn to_json(&self) -> Value {
        self.queues.iter().map(|(name, series)| (name.clone(), json!(series))).collect::<Map<_, _>>().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(queues: &[(&str, u64)]) -> Depths {
        let queue = |(name, waiting): &(&str, u64)| {
            let state = QueueState { waiting: *waiting, ..QueueState::default() };
            ((*name).to_owned(), Queue { state, ..Queue::default() })
        };
        Depths { queues: queues.iter().map(queue).collect(), unacknowledged: None }
    }

    #[test]
    fn the_series_has_the_most_of_each_of_the_last_minutes() {
        let mut series = Series::default();
        assert_eq!(series.add_at(&reading(&[("mail", 3)]), 100), None);
        assert_eq!(series.add_at(&reading(&[("mail", 7)]), 100), None);
        assert_eq!(series.add_at(&reading(&[("mail", 5)]), 100), None);
        assert_eq!(series.add_at(&reading(&[("mail", 1), ("video", 0)]), 101), Some(json!({"mail": [7]})));
        // The broker was away for two minutes, and a queue was deleted meanwhile.
        assert_eq!(series.add_at(&reading(&[("mail", 2)]), 104), Some(json!({"mail": [7, 1], "video": [0]})));
        assert_eq!(series.to_json(), json!({"mail": [7, 1, null, null, 2], "video": [0, null, null, null]}));
        // The clock was set back.
        assert_eq!(series.add_at(&reading(&[("mail", 9)]), 50), None);
        assert_eq!(series.to_json()["mail"], json!([7, 1, null, null, 9]));
        series.add_at(&reading(&[("news", 4)]), u64::MAX);
        assert_eq!(series.to_json(), json!({"news": [4]}), "nothing is known of the last hour");
        for minute in 0..100 {
            series.minute = minute;
            series.add_at(&reading(&[("news", 4)]), minute + 1);
        }
        assert_eq!(series.queues["news"].len(), MINUTES);
    }

    #[test]
    fn the_names_of_the_queues_outlive_the_bridge() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("queues");
        let mut known = Known::open(file.clone());
        known.add(["mail".to_owned(), "x".repeat(LONGEST_NAME + 1)]);
        known.save();
        let again = Known::open(file.clone());
        assert_eq!((again.names, again.waiting.contains("mail")), (["celery", "mail"].map(str::to_owned).into(), true));
        std::fs::write(&file, "[7").unwrap();
        assert_eq!(Known::open(file).names, [DEFAULT_QUEUE.to_owned()].into());
        known.add((0..2 * MOST_QUEUES).map(|number| number.to_string()));
        assert_eq!(known.names.len(), MOST_QUEUES);
    }

    #[test]
    fn the_names_in_a_reply_are_found() {
        assert_eq!(names_of(&json!([{"name": "mail", "exchange": {}}, {"name": 7}, 7])), ["mail"]);
        assert!(names_of(&json!({"error": "x"})).is_empty());
    }
}
