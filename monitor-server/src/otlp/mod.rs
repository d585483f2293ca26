//! OTLP/HTTP: what OpenTelemetry's SDKs send, as events.
//!
//! A span comes when it has ended: it becomes a start and an end, its events lines of its log. Whoever sends it numbers nothing, so
//! the receiver numbers the events as its own and relays them for the workers that the resources name. Taken twice, a span says the
//! same of the same process, and changes nothing; its lines are left out if it is known to have ended.

mod convert;
mod json;
pub mod proto;
mod read;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use monitor_wire::{Batch, Event, ProcessId, RootId, VERSION, WorkerId, WorkerRef};

use self::convert::Speaker;
pub use self::read::Form;
use crate::ingest::{Ingest, IngestError};
use crate::packed::Packed;
use crate::server::now_us;

/// Numbers events as those of one worker, this server.
pub struct Receiver {
    worker: WorkerRef,
    next: AtomicU64,
}

/// What a request says.
#[derive(Debug, Default)]
pub struct Said {
    /// The events, in their order.
    pub events: Vec<Event>,
    /// How many items can't be taken, and why the first one can't.
    pub rejected: (u64, Option<String>),
}

impl Said {
    fn take(&mut self, events: Result<Vec<Event>, String>, max_events: usize) -> Result<(), String> {
        match events {
            Ok(events) => self.events.extend(events),
            Err(why) => {
                self.rejected.0 += 1;
                self.rejected.1.get_or_insert(why);
            }
        }
        if self.events.len() > max_events {
            return Err(format!("the body makes more than {max_events} events: send less at a time"));
        }
        Ok(())
    }

    /// The processes whose end is told, and lines of them.
    pub fn ended_with_lines(&self) -> HashSet<(RootId, ProcessId)> {
        let ended = |event: &Event| if let Event::ProcessEnded(ended) = event { Some((ended.root_id, ended.id)) } else { None };
        let with_lines: HashSet<_> = self.events.iter().filter_map(of_line).collect();
        self.events.iter().filter_map(ended).filter(|of| with_lines.contains(of)).collect()
    }

    /// Leaves out the lines of these.
    pub fn without_lines_of(&mut self, processes: &HashSet<(RootId, ProcessId)>) {
        if !processes.is_empty() {
            self.events.retain(|event| of_line(event).is_none_or(|of| !processes.contains(&of)));
        }
    }
}

fn of_line(event: &Event) -> Option<(RootId, ProcessId)> {
    if let Event::ProcessLogged(logged) = event { Some((logged.root_id, logged.id)) } else { None }
}

/// The events of an `ExportTraceServiceRequest`.
///
/// # Errors
/// If the body is none, or too much.
pub fn traces(body: &[u8], form: Form, max_events: usize) -> Result<Said, String> {
    let mut said = Said::default();
    let mut speakers = Speakers::default();
    read::each(body, form, |resource, scope, span| said.take(convert::span(speakers.of(resource), scope, span), max_events))?;
    Ok(said)
}

/// The events of an `ExportLogsServiceRequest`.
///
/// # Errors
/// If the body is none, or too much.
pub fn logs(body: &[u8], form: Form, max_events: usize) -> Result<Said, String> {
    let mut said = Said::default();
    let mut speakers = Speakers::default();
    read::each(body, form, |resource, scope, record| {
        said.take(convert::log(speakers.of(resource), scope, record).map(|event| vec![event]), max_events)
    })?;
    Ok(said)
}

/// Who spoke last: mostly the same one speaks on.
#[derive(Default)]
struct Speakers(Option<(proto::Resource, Speaker)>);

impl Speakers {
    fn of(&mut self, resource: &proto::Resource) -> &Speaker {
        if self.0.as_ref().is_none_or(|(last, _)| last != resource) {
            self.0 = Some((resource.clone(), Speaker::of(resource)));
        }
        &self.0.as_ref().expect("just made").1
    }
}

impl Default for Receiver {
    fn default() -> Self {
        Self::new()
    }
}

impl Receiver {
    /// A worker of its own, new for every server that is started.
    pub fn new() -> Self {
        // Two hashers seeded by the operating system.
        let random = |salt: u64| u128::from(RandomState::new().hash_one((salt, std::process::id(), now_us())));
        let id = WorkerId::new(random(1) << 64 | random(2) | 1).expect("the lowest bit is set");
        let hostname = gethostname::gethostname().to_string_lossy().into_owned();
        Self { worker: WorkerRef { id, hostname, pid: std::process::id(), program: "OTLP receiver".to_owned() }, next: AtomicU64::new(1) }
    }

    /// Stores events durably.
    ///
    /// # Errors
    /// As [`Ingest::accept`].
    pub async fn store(&self, ingest: &Ingest, events: Vec<Event>) -> Result<(), IngestError> {
        let batch = self.batch(events);
        let (sequence, end) = (batch.sequence, batch.last_number() + 1);
        match ingest.accept(batch).await {
            Ok(_) => Ok(()),
            Err(error) => {
                // Numbers that nobody has would be remembered as gaps for ever: taken back, if none were given since.
                let _ = self.next.compare_exchange(end, sequence, Ordering::Relaxed, Ordering::Relaxed);
                Err(error)
            }
        }
    }

    fn batch(&self, events: Vec<Event>) -> Packed {
        let sequence = self.next.fetch_add(events.len() as u64, Ordering::Relaxed);
        let worker = self.worker.clone();
        Packed::from(Batch { version: VERSION, worker, sequence, sent_us: now_us(), dropped: Vec::new(), lost: false, events })
    }
}
