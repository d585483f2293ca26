//! OTLP/HTTP receiver: converts the data of OpenTelemetry SDKs to events.
//!
//! An SDK sends a span when it has ended. The span becomes a start and an end, and its span events become log lines. SDKs do not number
//! their data, so the [`Receiver`] numbers the events as its own and relays them for the workers named by the resources. A span that is
//! received twice leads to the same facts about the same process, which changes nothing; its log lines are omitted if the process is known
//! to have ended.

mod convert;
mod read;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use monitor_store::packed::{Limits, Packed, fit};
use monitor_wire::{Batch, Event, ProcessId, RootId, VERSION, WorkerId, WorkerOffline, WorkerRef};

use self::convert::Speaker;
use self::proto::{LogRecord, Resource, Scope, Span};
pub use self::read::Form;
use crate::clock::Clock;
use crate::ingest::{Ingest, IngestError};
pub use monitor_otlp::proto;

/// Numbers events as the events of a worker that represents this server.
pub struct Receiver {
    worker: WorkerRef,
    next: AtomicU64,
    clock: Clock,
}

/// Limits on the events of a request.
#[derive(Debug, Clone, Copy)]
pub struct Most {
    /// Maximum number of events.
    pub events: usize,
    /// Maximum number of bytes in the events beyond the size of the request: each event repeats its sender.
    pub bytes: usize,
    /// Limits on the size of an event.
    pub limits: Limits,
}

/// Reason for refusing a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// The body can't be decoded. Contains the reason.
    Unreadable(String),
    /// The request expands to too many events or bytes. Contains the remedy.
    TooMuch(String),
}

impl From<String> for Refused {
    fn from(why: String) -> Self {
        Self::Unreadable(why)
    }
}

/// Decoded contents of a request.
#[derive(Debug, Default)]
pub struct Said {
    /// Events in their order.
    pub events: Vec<Event>,
    /// Number of rejected items, and the reason for the first rejection.
    pub rejected: (u64, Option<String>),
    /// Approximate number of bytes in the events beyond the size of the request.
    pub bytes: usize,
    /// Traces of log records that are not marked as sampled. Spans of such a trace may never arrive.
    pub maybe_unsampled: HashSet<RootId>,
}

impl Said {
    /// Checks that there is room for `events` further events before they are created.
    fn charge(&mut self, events: usize, speaker: &Speaker, scope: &Scope, most: &Most) -> Result<(), Refused> {
        if self.events.len() + events > most.events {
            return Err(Refused::TooMuch(format!("the body makes more than {} events: send less at a time", most.events)));
        }
        let scope_bytes: usize = [&scope.name, &scope.version].map(|text| text.len().min(most.limits.name_bytes)).iter().sum();
        let each = size_of::<Event>() + speaker.worker_bytes() + scope_bytes;
        self.bytes += events * each;
        self.charge_bytes(most)
    }

    fn charge_bytes(&self, most: &Most) -> Result<(), Refused> {
        if self.bytes > most.bytes {
            let why =
                "what the body says of its resources and scopes becomes too much, for each of its items repeats it: send less at a time";
            return Err(Refused::TooMuch(why.to_owned()));
        }
        Ok(())
    }

    fn take(&mut self, events: Result<Vec<Event>, String>, most: &Most) {
        // Otherwise the writer thread would refuse all events of the batch.
        let fitting = events.and_then(|mut events| match events.iter_mut().try_for_each(|event| fit(event, &most.limits)) {
            Ok(()) => Ok(events),
            Err(size) => Err(format!("it takes about {size} bytes, and an event may take {}", most.limits.event_bytes)),
        });
        match fitting {
            Ok(events) => self.events.extend(events),
            Err(why) => self.reject(why),
        }
    }

    fn reject(&mut self, why: String) {
        self.rejected.0 += 1;
        self.rejected.1.get_or_insert(why);
    }

    /// Rejects the log lines of runs that the store does not contain: a trace that is not sampled sends no spans.
    pub fn reject_lines_of(&mut self, roots: &HashSet<RootId>) {
        let before = self.events.len();
        self.events.retain(|event| of_line(event).is_none_or(|(root, _)| !roots.contains(&root)));
        for _ in self.events.len()..before {
            self.reject("its trace is not sampled, and no span of it is here".to_owned());
        }
    }

    /// Returns the processes that have both an end and log lines in the request.
    pub fn ended_with_lines(&self) -> HashSet<(RootId, ProcessId)> {
        let ended = |event: &Event| if let Event::ProcessEnded(ended) = event { Some((ended.root_id, ended.id)) } else { None };
        let with_lines: HashSet<_> = self.events.iter().filter_map(of_line).collect();
        self.events.iter().filter_map(ended).filter(|of| with_lines.contains(of)).collect()
    }

    /// Removes the log lines of these processes.
    pub fn without_lines_of(&mut self, processes: &HashSet<(RootId, ProcessId)>) {
        if !processes.is_empty() {
            self.events.retain(|event| of_line(event).is_none_or(|of| !processes.contains(&of)));
        }
    }
}

fn of_line(event: &Event) -> Option<(RootId, ProcessId)> {
    if let Event::ProcessLogged(logged) = event { Some((logged.root_id, logged.id)) } else { None }
}

/// Converts an `ExportTraceServiceRequest` to events.
///
/// # Errors
/// Returns an error if the body can't be decoded or exceeds the limits.
pub fn traces(body: &[u8], form: Form, most: &Most) -> Result<Said, Refused> {
    let mut said = Said::default();
    let speak = |resource: &Resource| Speaker::of(resource, &most.limits);
    read::each(body, form, speak, |item| {
        let (speaker, scope, span): (_, _, Span) = match item {
            Ok(item) => item,
            Err(why) => {
                said.reject(why);
                return Ok(());
            }
        };
        said.charge(2 + span.events.len(), speaker, scope, most)?;
        if convert::tells_resource(&span) {
            said.bytes += speaker.fields_bytes();
            said.charge_bytes(most)?;
        }
        said.take(convert::span(speaker, scope, span, &most.limits), most);
        Ok(())
    })?;
    Ok(said)
}

/// Converts an `ExportLogsServiceRequest` to events.
///
/// # Errors
/// Returns an error if the body can't be decoded or exceeds the limits.
pub fn logs(body: &[u8], form: Form, most: &Most) -> Result<Said, Refused> {
    let (mut said, mut sampled) = (Said::default(), HashSet::new());
    let speak = |resource: &Resource| Speaker::of(resource, &most.limits);
    read::each(body, form, speak, |item| {
        let (speaker, scope, record): (_, _, LogRecord) = match item {
            Ok(item) => item,
            Err(why) => {
                said.reject(why);
                return Ok(());
            }
        };
        said.charge(1, speaker, scope, most)?;
        let of_traces = if record.flags & convert::SAMPLED == 0 { &mut said.maybe_unsampled } else { &mut sampled };
        let event = convert::log(speaker, scope, record, &most.limits);
        of_traces.extend(event.as_ref().ok().and_then(of_line).map(|(root, _)| root));
        said.take(event.map(|event| vec![event]), most);
        Ok(())
    })?;
    said.maybe_unsampled.retain(|root| !sampled.contains(root));
    Ok(said)
}

impl Receiver {
    /// Program name of the workers that represent receivers.
    pub const PROGRAM: &str = "OTLP receiver";

    /// Creates a worker with a new id, so that each start of a server has its own.
    pub fn new(program: &str, clock: Clock) -> Self {
        // Randomness of two hashers that the operating system seeds.
        let random = |salt: u64| u128::from(RandomState::new().hash_one((salt, std::process::id(), clock.wall_us())));
        let id = WorkerId::new(random(1) << 64 | random(2) | 1).expect("the lowest bit is set");
        let hostname = gethostname::gethostname().to_string_lossy().into_owned();
        Self { worker: WorkerRef { id, hostname, pid: std::process::id(), program: program.to_owned() }, next: AtomicU64::new(1), clock }
    }

    /// Stores events durably.
    ///
    /// # Errors
    /// Same as [`Ingest::accept`].
    pub async fn store(&self, ingest: &Ingest, events: Vec<Event>) -> Result<(), IngestError> {
        let batch = self.batch(events);
        let (sequence, end) = (batch.sequence, batch.last_number() + 1);
        match ingest.accept(batch).await {
            Ok(_) => Ok(()),
            Err(error) => {
                // Unused numbers would be stored as gaps permanently. They are reused, unless other numbers have been assigned since.
                let _ = self.next.compare_exchange(end, sequence, Ordering::Relaxed, Ordering::Relaxed);
                Err(error)
            }
        }
    }

    /// Reports that the worker is offline, if it has sent events. It sends no heartbeats, so the server would not notice otherwise.
    pub async fn leave(&self, ingest: &Ingest) {
        if self.next.load(Ordering::Relaxed) > 1 {
            let offline = Event::WorkerOffline(WorkerOffline { time_us: self.clock.wall_us(), worker: None });
            if let Err(error) = self.store(ingest, vec![offline]).await {
                tracing::warn!(%error, "the worker {:?} could not report that it stops", self.worker.program);
            }
        }
    }

    fn batch(&self, events: Vec<Event>) -> Packed {
        let sequence = self.next.fetch_add(events.len() as u64, Ordering::Relaxed);
        let worker = self.worker.clone();
        Packed::from(Batch { version: VERSION, worker, sequence, sent_us: self.clock.wall_us(), dropped: Vec::new(), lost: false, events })
    }
}
