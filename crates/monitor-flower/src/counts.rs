//! Metrics of Flower, counted from events.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use monitor_wire::{Event, StreamMessage};
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::event::{name_of, sender};

/// Maximum number of pairs of a task and a worker that are counted on their own.
const MOST_PAIRS: usize = 10_000;
/// Task and worker of all further pairs.
const OTHERS: &str = "";
/// Upper bounds of the buckets of the runtime, in seconds. They are those of Flower.
const BOUNDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Counts of the events since the start of the server.
#[derive(Debug)]
pub struct Counts {
    registry: Registry,
    events: Family<EventLabels, Counter>,
    runtimes: Family<TaskLabels, Histogram>,
    prefetch_times: Family<TaskLabels, Gauge<f64, std::sync::atomic::AtomicU64>>,
    prefetched: Family<TaskLabels, Gauge>,
    pairs: Mutex<HashSet<TaskLabels>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabels {
    worker: String,
    r#type: String,
    task: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TaskLabels {
    worker: String,
    task: String,
}

impl Default for Counts {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("flower");
        let events = Family::default();
        registry.register("events", "Number of events", events.clone());
        let runtimes: Family<TaskLabels, Histogram> = Family::new_with_constructor(|| Histogram::new(BOUNDS));
        registry.register("task_runtime_seconds", "Task runtime", runtimes.clone());
        let prefetch_times = Family::default();
        let help = "The time the task spent waiting at the celery worker to be executed";
        registry.register("task_prefetch_time_seconds", help, prefetch_times.clone());
        let prefetched = Family::default();
        registry.register("worker_prefetched_tasks", "Number of tasks of given type prefetched at a worker", prefetched.clone());
        Self { registry, events, runtimes, prefetch_times, prefetched, pairs: Mutex::default() }
    }
}

impl Counts {
    /// Counts the event of a task. Other events are ignored.
    pub fn add(&self, message: &StreamMessage) {
        let event = &message.event;
        let type_name = event.type_name();
        let Some(process) = message.process.as_ref().filter(|_| type_name.starts_with("task-")) else { return };
        let Some(task) = process.task.as_deref() else { return };
        let labels = self.labels(TaskLabels { worker: sender(event).map(name_of).unwrap_or_default(), task: process.name.clone() });
        let of = EventLabels { worker: labels.worker.clone(), r#type: type_name.to_owned(), task: labels.task.clone() };
        self.events.get_or_create(&of).inc();
        let has_time = task.eta_us.is_some();
        match event {
            Event::TaskReceived(_) if !has_time => _ = self.prefetched.get_or_create(&labels).inc(),
            Event::TaskStarted(event) if !has_time => {
                if let Some(received_us) = task.received_us {
                    let waited = event.time_us.saturating_sub(received_us) as f64 / 1e6;
                    self.prefetch_times.get_or_create(&labels).set(waited);
                    let prefetched = self.prefetched.get_or_create(&labels);
                    // It may have been received before the counting began.
                    if prefetched.get() > 0 {
                        prefetched.dec();
                    }
                }
            }
            Event::TaskSucceeded(event) => {
                if let Some(ns) = event.runtime_ns {
                    self.runtimes.get_or_create(&labels).observe(ns as f64 / 1e9);
                }
                self.is_not_prefetched(&labels, has_time);
            }
            Event::TaskFailed(_) => self.is_not_prefetched(&labels, has_time),
            _ => {}
        }
    }

    fn is_not_prefetched(&self, labels: &TaskLabels, has_time: bool) {
        if !has_time {
            self.prefetch_times.get_or_create(labels).set(0.0);
        }
    }

    /// Returns these labels, or those of all further pairs if too many pairs are known.
    fn labels(&self, labels: TaskLabels) -> TaskLabels {
        let mut pairs = self.pairs.lock().unwrap_or_else(PoisonError::into_inner);
        if pairs.contains(&labels) {
            return labels;
        }
        if pairs.len() >= MOST_PAIRS {
            return TaskLabels { worker: OTHERS.to_owned(), task: OTHERS.to_owned() };
        }
        pairs.insert(labels.clone());
        labels
    }

    /// Writes the metrics in the `OpenMetrics` format, without its end.
    pub(crate) fn write(&self, to: &mut String) -> fmt::Result {
        text::encode_registry(to, &self.registry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(name: &str, event: &serde_json::Value) -> StreamMessage {
        let mut process = crate::tests::task(crate::tests::ADD, "started");
        process["name"] = name.into();
        serde_json::from_value(serde_json::json!({"event": event, "root": null, "process": process, "worker": null})).unwrap()
    }

    #[test]
    fn further_pairs_of_tasks_and_workers_share_their_counts() {
        let counts = Counts::default();
        let started = serde_json::json!({"type": "task-started", "root_id": "00000000000000000000000000000007", "id": "0000000000000003",
            "time_us": 9, "attempt": 1, "native_id": "a"});
        for number in 0..MOST_PAIRS + 7 {
            counts.add(&message(&format!("task{number}\n\"}} 1"), &started));
        }
        let mut text = String::new();
        counts.write(&mut text).unwrap();
        assert!(text.contains(r#"flower_events_total{worker="",type="task-started",task=""} 7"#), "{}", &text[..1_000]);
        assert!(text.contains(r#"task="task0\n\"} 1"} 1"#), "names are escaped");
        assert!(text.lines().filter(|line| line.starts_with("flower_events_total")).count() == MOST_PAIRS + 1);
    }
}
