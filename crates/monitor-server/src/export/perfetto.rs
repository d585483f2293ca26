//! The trace format of Chrome, which Perfetto's page reads: <https://ui.perfetto.dev>.

use std::collections::HashMap;

use monitor_store::{Outline, Standing};
use monitor_wire::{LogEntry, Process, ProcessId, Worker, WorkerId};
use serde_json::{Value, json};

use super::{Form, line};

/// Events on tracks: a worker is a process, and its threads have as many tracks as they need for events to nest on each.
#[derive(Default)]
pub(super) struct Perfetto {
    workers: HashMap<Option<WorkerId>, u64>,
    lanes: HashMap<(Option<WorkerId>, Option<String>), Vec<Lane>>,
    tracks: u64,
    /// Where the processes are that may log.
    places: HashMap<ProcessId, (u64, u64)>,
    is_further: bool,
}

/// A track, and what is open on it.
struct Lane {
    track: u64,
    last_us: u64,
    ends: Vec<u64>,
}

impl Perfetto {
    fn event(&mut self, event: &Value) -> String {
        let comma = if std::mem::replace(&mut self.is_further, true) { ",\n" } else { "\n" };
        format!("{comma}{}", line(event).trim_end())
    }

    fn worker_number(&mut self, worker: Option<WorkerId>) -> u64 {
        let next = self.workers.len() as u64 + 1;
        *self.workers.entry(worker).or_insert(next)
    }

    /// A track on which what begins and ends so lies within what is open, and whether it is new.
    fn track(&mut self, of: (Option<WorkerId>, Option<String>), begin: u64, end: u64) -> (u64, bool) {
        let lanes = self.lanes.entry(of).or_default();
        for lane in &mut *lanes {
            if begin < lane.last_us {
                continue;
            }
            let still_open = lane.ends.iter().rposition(|open| *open > begin).map_or(0, |last| last + 1);
            if lane.ends[..still_open].last().is_none_or(|outer| end <= *outer) {
                lane.ends.truncate(still_open);
                lane.ends.push(end);
                lane.last_us = begin;
                return (lane.track, false);
            }
        }
        self.tracks += 1;
        lanes.push(Lane { track: self.tracks, last_us: begin, ends: vec![end] });
        (self.tracks, true)
    }
}

impl Form for Perfetto {
    fn begin(&mut self, outline: &Outline) -> String {
        format!("{{\"displayTimeUnit\":\"ms\",\"otherData\":{{\"title\":{}}},\"traceEvents\":[", json!(outline.root.title))
    }

    fn worker(&mut self, worker: &Worker) -> String {
        let pid = self.worker_number(Some(worker.id));
        let name = format!("{} {} on {}", worker.program, worker.pid, worker.hostname);
        self.event(&json!({"ph": "M", "name": "process_name", "pid": pid, "args": {"name": name}}))
    }

    fn process(&mut self, process: &Process, _: Standing) -> String {
        let Some(begin) = process.started_us else { return String::new() };
        // What still runs is shown without a length.
        let took_ns = process.elapsed_ns.unwrap_or(0);
        let end = begin.saturating_add(took_ns.div_ceil(1_000));
        let pid = self.worker_number(process.worker_id);
        let (tid, is_new) = self.track((process.worker_id, process.thread.clone()), begin, end);
        self.places.insert(process.id, (pid, tid));
        let mut text = String::new();
        if is_new {
            let name = process.thread.clone().unwrap_or_default();
            text = self.event(&json!({"ph": "M", "name": "thread_name", "pid": pid, "tid": tid, "args": {"name": name}}));
        }
        let mut args = json!({"id": process.id, "state": process.state, "fields": process.fields});
        if let Some(error) = &process.error {
            args["error"] = json!(error.message);
        }
        if let Some(source) = &process.source {
            args["source"] = json!(format!("{}:{}", source.file, source.line));
        }
        let event = json!({
            "ph": "X", "name": process.name, "cat": process.kind, "ts": begin, "dur": took_ns as f64 / 1_000.0, "pid": pid, "tid": tid, "args": args,
        });
        text + &self.event(&event)
    }

    fn logs(&mut self) -> String {
        String::new()
    }

    fn log(&mut self, entry: &LogEntry) -> String {
        let Some((pid, tid)) = self.places.get(&entry.process_id).copied() else { return String::new() };
        let args = json!({"level": entry.level, "fields": entry.fields});
        self.event(
            &json!({"ph": "i", "s": "t", "name": entry.message, "cat": "log", "ts": entry.time_us, "pid": pid, "tid": tid, "args": args}),
        )
    }

    fn end(&mut self) -> String {
        "]}\n".to_owned()
    }
}
