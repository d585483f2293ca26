//! OTLP's JSON: `TracesData`, as OpenTelemetry's collectors read it from files.

use std::collections::HashMap;

use monitor_otlp::proto::Resource;
use monitor_store::{Outline, Standing};
use monitor_wire::{LogEntry, Process, Worker, WorkerId};
use serde_json::json;

use super::{Form, line, resource};

/// Spans, in groups by the worker that ran them. What has not begun is none, what runs has no end yet. Logs are not told.
#[derive(Default)]
pub(super) struct Otlp {
    workers: HashMap<WorkerId, Resource>,
    /// Whether a group is open, and whose it is.
    group: (bool, Option<WorkerId>),
}

impl Form for Otlp {
    fn begin(&mut self, _: &Outline) -> String {
        "{\"resourceSpans\":[".to_owned()
    }

    fn worker(&mut self, worker: &Worker) -> String {
        self.workers.insert(worker.id, resource(worker));
        String::new()
    }

    fn process(&mut self, process: &Process, _: Standing) -> String {
        let Some(started_us) = process.started_us else { return String::new() };
        let start = started_us.saturating_mul(1_000);
        let span = monitor_otlp::span(process, (start, process.elapsed_ns.map_or(0, |elapsed| start.saturating_add(elapsed))));
        let mut text = match self.group {
            (true, group) if group == process.worker_id => ",\n".to_owned(),
            (is_open, _) => {
                let resource = process.worker_id.and_then(|id| self.workers.get(&id)).cloned().unwrap_or_default();
                let end = if is_open { "]}]},\n" } else { "\n" };
                let scope = json!({"name": monitor_otlp::SCOPE});
                format!("{end}{{\"resource\":{},\"scopeSpans\":[{{\"scope\":{scope},\"spans\":[\n", line(&resource).trim_end())
            }
        };
        self.group = (true, process.worker_id);
        text.push_str(line(&span).trim_end());
        text
    }

    fn logs(&mut self) -> String {
        String::new()
    }

    fn log(&mut self, _: &LogEntry) -> String {
        String::new()
    }

    fn end(&mut self) -> String {
        if self.group.0 { "]}]}]}\n".to_owned() } else { "]}\n".to_owned() }
    }
}
