//! `monitor import`

mod events;
mod spans;
mod task;
mod told;

use std::collections::hash_map::RandomState;
use std::fs::File;
use std::hash::BuildHasher;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use monitor_api::Error;
use monitor_wire::{Event, LogEntry, Process, Root, VERSION, Worker, WorkerId, WorkerOffline, WorkerRef};
use serde::Deserialize;
use serde_json::Value;

use self::events::Known;
use self::told::Told;
pub(super) use self::told::is_gone;
use crate::client::Connection;
use crate::exit;
use crate::text::{now_us, visible};

const EXAMPLES: &str = "\
Examples:
  monitor import tree.ndjson  Import an export, in ndjson or json
  monitor import spans.json   Import OTLP JSON, one request or one per line

A run keeps its ids and gets a new number. Data that the server already has is not changed, so importing a file twice has no effect. \
A server on another machine requires a token with the scopes `read` and `ingest`.";

/// Number of events or spans per request, and their approximate size.
const AT_ONCE: usize = 1_000;
const BYTES_AT_ONCE: usize = 1 << 20;

/// Import a run, or OTLP spans, from a file into the server
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::SERVER))]
pub(crate) struct Args {
    /// File to read; `-` reads standard input
    file: PathBuf,
    #[command(flatten)]
    connection: Connection,
}

/// A line of an export.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Line {
    Export { version: u32, root: Box<Root> },
    Worker { worker: Box<Worker> },
    Process { at_us: u64, process: Box<Process> },
    Log { log: Box<LogEntry> },
    End { processes: u64, logs: u64 },
}

/// An export as one JSON object.
#[derive(Deserialize)]
struct Whole {
    version: u32,
    root: Root,
    processes: Vec<Standing>,
    logs: Vec<LogEntry>,
    workers: Vec<Worker>,
}

#[derive(Deserialize)]
struct Standing {
    at_us: u64,
    process: Process,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let shown = visible(&args.file.display().to_string()).into_owned();
    let mut input: Box<dyn BufRead> = if args.file == Path::new("-") {
        Box::new(BufReader::new(std::io::stdin()))
    } else {
        Box::new(BufReader::new(File::open(&args.file).with_context(|| format!("could not open {shown}"))?))
    };
    let mut first = String::new();
    input.read_line(&mut first).with_context(|| format!("could not read {shown}"))?;
    let mut import = Import::new(&args.connection);
    if serde_json::from_str::<Line>(&first).is_ok() {
        import.lines(first.as_bytes().chain(input)).with_context(|| format!("{shown} was not imported as a whole"))?;
    } else if serde_json::from_str::<Value>(&first).is_ok_and(|value| value.get("resourceSpans").is_some()) {
        let spans = import.otlp_lines(&first, input)?;
        writeln!(anstream::stderr(), "imported {spans} requests of spans")?;
        return Ok(());
    } else {
        let mut text = first;
        input.read_to_string(&mut text).with_context(|| format!("could not read {shown}"))?;
        import.whole(&text).with_context(|| format!("{shown} was not imported as a whole"))?;
    }
    writeln!(anstream::stderr(), "imported {} processes and {} lines of their logs", import.processes, import.logs)?;
    Ok(())
}

/// Sends events as one worker that relays the events of other workers.
pub(super) struct Import<'a> {
    connection: &'a Connection,
    worker: WorkerRef,
    sequence: u64,
    /// Events as JSON.
    waiting: Vec<String>,
    waiting_bytes: usize,
    known: Option<Known>,
    told: Told,
    /// Ends of the root, sent last, so that an interrupted import is visibly unfinished.
    ends: Vec<Event>,
    processes: u64,
    logs: u64,
}

impl<'a> Import<'a> {
    pub(super) fn new(connection: &'a Connection) -> Self {
        // `RandomState` is seeded by the operating system.
        let random = |salt: u64| u128::from(RandomState::new().hash_one((salt, std::process::id(), now_us())));
        let id = WorkerId::new(random(1) << 64 | random(2) | 1).expect("the lowest bit is set");
        let worker = WorkerRef { id, hostname: String::new(), pid: std::process::id(), program: "monitor import".to_owned() };
        let (told, ends) = (Told::default(), Vec::new());
        Self { connection, worker, sequence: 1, waiting: Vec::new(), waiting_bytes: 0, known: None, told, ends, processes: 0, logs: 0 }
    }

    /// Imports an export of lines. Returns the numbers of processes and log lines.
    pub(super) fn lines(&mut self, all: impl BufRead) -> anyhow::Result<(u64, u64)> {
        let mut end = None;
        for (number, text) in all.lines().enumerate() {
            let text = text?;
            let line: Line = serde_json::from_str(&text).with_context(|| format!("line {} is none of an export", number + 1))?;
            match line {
                Line::Export { version, root } => self.begin(version, *root)?,
                Line::Worker { worker } => self.worker(*worker)?,
                Line::Process { at_us, process } => self.process(&process, at_us)?,
                Line::Log { log } => self.log(*log)?,
                Line::End { processes, logs } => end = Some((processes, logs)),
            }
        }
        self.flush()?;
        ensure!(end.is_some(), "the file breaks off: it has no line of type `end`");
        ensure!(
            end == Some((self.processes, self.logs)),
            "the file has other numbers of processes and log lines than its line `end` states, so it is incomplete"
        );
        self.close()?;
        Ok((self.processes, self.logs))
    }

    fn whole(&mut self, text: &str) -> anyhow::Result<()> {
        let value: Value = serde_json::from_str(text).context("it is no JSON")?;
        if value.get("resourceSpans").is_some() {
            self.post_spans(text)?;
            return Ok(());
        }
        let whole: Whole = serde_json::from_value(value).context("it is no export of `monitor export`, and no OTLP")?;
        self.begin(whole.version, whole.root)?;
        for worker in whole.workers {
            self.worker(worker)?;
        }
        for Standing { at_us, process } in whole.processes {
            self.process(&process, at_us)?;
        }
        for log in whole.logs {
            self.log(log)?;
        }
        self.flush()?;
        self.close()
    }

    fn otlp_lines(&mut self, first: &str, mut rest: impl Read) -> anyhow::Result<u64> {
        let mut text = first.to_owned();
        rest.read_to_string(&mut text)?;
        let mut requests = 0;
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            self.post_spans(line)?;
            requests += 1;
        }
        Ok(requests)
    }

    fn post_spans(&mut self, json: &str) -> anyhow::Result<()> {
        let (connection, mut rejected) = (self.connection, None);
        let request = spans::read(json)?;
        for part in spans::parts(&request) {
            in_parts(part, &mut |spans| {
                let answer = connection.post(&["v1", "traces"], spans::request(spans).as_bytes())?;
                rejected = rejected.take().or_else(|| answer["partialSuccess"]["errorMessage"].as_str().map(str::to_owned));
                Ok(())
            })?;
        }
        rejected.map_or(Ok(()), |why| bail!("not all spans were taken: {why}"))
    }

    fn begin(&mut self, version: u32, root: Root) -> anyhow::Result<()> {
        ensure!(version == 1, "it is of version {version}, this program reads version 1");
        self.told = Told::read(self.connection, root.root_id)?;
        self.known = Some(Known::new(root));
        Ok(())
    }

    fn known(&mut self) -> anyhow::Result<&mut Known> {
        self.known.as_mut().context("its first line is not of type `export`")
    }

    fn worker(&mut self, worker: Worker) -> anyhow::Result<()> {
        let events = self.known()?.worker(worker);
        self.send(events)
    }

    fn process(&mut self, process: &Process, at_us: u64) -> anyhow::Result<()> {
        self.processes += 1;
        let mut events = self.known()?.process(process, at_us);
        if self.processes == 1 {
            self.ends = events.extract_if(.., |event| is_end(event)).collect();
        }
        self.send(events)
    }

    fn log(&mut self, log: LogEntry) -> anyhow::Result<()> {
        self.logs += 1;
        if self.told.has(&log) {
            return Ok(());
        }
        let event = self.known()?.log(log);
        self.send(vec![event])
    }

    /// Restores the states of the workers after all their processes have started, and reports the import itself as offline, because it
    /// sends no heartbeats.
    fn close(&mut self) -> anyhow::Result<()> {
        let mut events = std::mem::take(&mut self.ends);
        events.extend(self.known()?.leave());
        events.push(Event::WorkerOffline(WorkerOffline { time_us: now_us(), worker: None }));
        self.send(events)?;
        self.flush()
    }

    fn send(&mut self, events: Vec<Event>) -> anyhow::Result<()> {
        for event in events {
            let event = serde_json::to_string(&event)?;
            self.waiting_bytes += event.len();
            self.waiting.push(event);
            if self.waiting.len() >= AT_ONCE || self.waiting_bytes >= BYTES_AT_ONCE {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        let events = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        let (connection, worker) = (self.connection, serde_json::to_string(&self.worker)?);
        let sequence = &mut self.sequence;
        in_parts(&events, &mut |part| {
            let (version, sent_us, events) = (VERSION, now_us(), part.join(","));
            let batch =
                format!(r#"{{"version":{version},"worker":{worker},"sequence":{sequence},"sent_us":{sent_us},"events":[{events}]}}"#);
            connection.post(&["api", "v1", "events"], batch.as_bytes())?;
            *sequence += part.len() as u64;
            Ok(())
        })
    }
}

/// Returns true if the event ends a process or a queue task.
fn is_end(event: &Event) -> bool {
    use Event::{ProcessEnded, TaskFailed, TaskRejected, TaskRevoked, TaskSucceeded};
    matches!(event, ProcessEnded(_) | TaskSucceeded(_) | TaskFailed(_) | TaskRejected(_) | TaskRevoked(_))
}

/// Sends all elements, split in halves while the server refuses them as too large.
fn in_parts<T>(all: &[T], send: &mut impl FnMut(&[T]) -> Result<(), Error>) -> anyhow::Result<()> {
    if all.is_empty() {
        return Ok(());
    }
    match send(all) {
        Err(Error::Refused { problem, .. }) if problem.status == 413 && all.len() > 1 => {
            let (first, rest) = all.split_at(all.len() / 2);
            in_parts(first, send)?;
            in_parts(rest, send)
        }
        answered => Ok(answered?),
    }
}
