//! A tree in the forms in which it can be taken elsewhere.
//!
//! Written piece by piece: besides the order of its processes, nothing of a tree is in memory as a whole.

mod junit;
mod otlp;
mod perfetto;

use std::collections::HashSet;

use monitor_otlp::proto::Resource;
use monitor_store::{LogsQuery, Outline, Queries, RootKey, Standing, StoreError};
use monitor_wire::{LogEntry, Process, Worker, WorkerId, WorkerRef};
use serde_json::json;

/// So many processes are read at a time.
const CHUNK: usize = 1_000;

/// A form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// One JSON object.
    Json,
    /// JSON objects, one per line.
    Ndjson,
    /// JSON as Chrome and Perfetto show it.
    Perfetto,
    /// OTLP's JSON.
    Otlp,
    /// Test results as JUnit's XML.
    Junit,
}

/// Takes what is written; false if nobody wants more.
type Write<'a> = &'a mut dyn FnMut(String) -> bool;

/// What has a tree's parts made into text.
trait Form {
    fn begin(&mut self, outline: &Outline) -> String;
    fn worker(&mut self, worker: &Worker) -> String;
    fn process(&mut self, process: &Process, standing: Standing) -> String;
    fn logs(&mut self) -> String;
    fn log(&mut self, entry: &LogEntry) -> String;
    fn end(&mut self) -> String;
}

/// Writes a tree.
///
/// # Errors
/// When the store fails; then what was written is not whole.
pub(crate) fn write(store: &dyn Queries, outline: &Outline, format: Format, write: Write<'_>) -> Result<(), StoreError> {
    let form: &mut dyn Form = match format {
        Format::Json => &mut Json::default(),
        Format::Ndjson => &mut Ndjson::default(),
        Format::Perfetto => &mut perfetto::Perfetto::default(),
        Format::Otlp => &mut otlp::Otlp::default(),
        Format::Junit => &mut junit::Junit::default(),
    };
    let root = RootKey::Id(outline.root.root_id);
    let mut known = HashSet::<WorkerId>::new();
    let mut text = form.begin(outline);
    for standing in outline.standing.chunks(CHUNK) {
        let ids: Vec<_> = standing.iter().map(|standing| standing.id).collect();
        for (place, mut process) in store.some_processes(root, &ids)? {
            let standing = standing[place];
            (process.depth, process.orphan) = (Some(standing.depth), standing.is_orphan);
            if let Some(id) = process.worker_id.filter(|id| known.insert(*id))
                && let Some(worker) = store.worker(id)?
            {
                text.push_str(&form.worker(&worker));
            }
            text.push_str(&form.process(&process, standing));
        }
        if !write(std::mem::take(&mut text)) {
            return Ok(());
        }
    }
    text.push_str(&form.logs());
    let mut query = LogsQuery { limit: CHUNK, ..LogsQuery::default() };
    loop {
        let Some(page) = store.logs(root, &query)? else { break };
        for entry in &page.logs {
            if known.insert(entry.worker_id)
                && let Some(worker) = store.worker(entry.worker_id)?
            {
                text.push_str(&form.worker(&worker));
            }
            text.push_str(&form.log(entry));
        }
        if !write(std::mem::take(&mut text)) {
            return Ok(());
        }
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            break;
        }
    }
    write(form.end());
    Ok(())
}

/// A worker as the resource of its spans.
pub(crate) fn resource(worker: &Worker) -> Resource {
    let Worker { id, hostname, pid, program, .. } = worker.clone();
    monitor_otlp::resource(&WorkerRef { id, hostname, pid, program })
}

fn line(value: &impl serde::Serialize) -> String {
    let mut line = serde_json::to_string(value).expect("plain data with text keys is JSON");
    line.push('\n');
    line
}

/// A line for the tree, each worker, each process and each line of a log, and one at the end that counts them.
#[derive(Default)]
struct Ndjson {
    processes: u64,
    logs: u64,
}

impl Form for Ndjson {
    fn begin(&mut self, outline: &Outline) -> String {
        line(&json!({"type": "export", "version": 1, "root": outline.root}))
    }

    fn worker(&mut self, worker: &Worker) -> String {
        line(&json!({"type": "worker", "worker": worker}))
    }

    fn process(&mut self, process: &Process, standing: Standing) -> String {
        self.processes += 1;
        line(&json!({"type": "process", "at_us": standing.at_us, "process": process}))
    }

    fn logs(&mut self) -> String {
        String::new()
    }

    fn log(&mut self, entry: &LogEntry) -> String {
        self.logs += 1;
        line(&json!({"type": "log", "log": entry}))
    }

    fn end(&mut self) -> String {
        line(&json!({"type": "end", "processes": self.processes, "logs": self.logs}))
    }
}

/// The same as one object.
#[derive(Default)]
struct Json {
    workers: Vec<Worker>,
    is_further: bool,
}

impl Json {
    fn comma(&mut self) -> &'static str {
        if std::mem::replace(&mut self.is_further, true) { ",\n" } else { "\n" }
    }
}

impl Form for Json {
    fn begin(&mut self, outline: &Outline) -> String {
        format!("{{\"type\":\"export\",\"version\":1,\"root\":{},\"processes\":[", line(&outline.root).trim_end())
    }

    fn worker(&mut self, worker: &Worker) -> String {
        self.workers.push(worker.clone());
        String::new()
    }

    fn process(&mut self, process: &Process, standing: Standing) -> String {
        format!("{}{{\"at_us\":{},\"process\":{}}}", self.comma(), standing.at_us, line(process).trim_end())
    }

    fn logs(&mut self) -> String {
        self.is_further = false;
        "],\n\"logs\":[".to_owned()
    }

    fn log(&mut self, entry: &LogEntry) -> String {
        format!("{}{}", self.comma(), line(entry).trim_end())
    }

    fn end(&mut self) -> String {
        format!("],\n\"workers\":{}}}\n", line(&self.workers).trim_end())
    }
}
