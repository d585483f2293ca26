//! OTLP/HTTP: what OpenTelemetry's SDKs send, as events.
//!
//! A span comes when it has ended: it becomes a start and an end, its events lines of its log. Whoever sends it numbers nothing, so
//! the [`Receiver`] numbers the events as its own and relays them for the workers that the resources name. Taken twice, a span says the
//! same of the same process, and changes nothing; its lines are left out if it is known to have ended.

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

/// Numbers events as those of one worker, this server.
pub struct Receiver {
    worker: WorkerRef,
    next: AtomicU64,
    clock: Clock,
}

/// The most that a request may become.
#[derive(Debug, Clone, Copy)]
pub struct Most {
    /// So many events.
    pub events: usize,
    /// So many bytes that they hold beyond what stands in the request: each of them says who says it.
    pub bytes: usize,
    /// What one of them may hold.
    pub limits: Limits,
}

/// Why a request is not taken.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is none, and why.
    Unreadable(String),
    /// It becomes more than it may, and what to do.
    TooMuch(String),
}

impl From<String> for Refused {
    fn from(why: String) -> Self {
        Self::Unreadable(why)
    }
}

/// What a request says.
#[derive(Debug, Default)]
pub struct Said {
    /// The events, in their order.
    pub events: Vec<Event>,
    /// How many items can't be taken, and why the first one can't.
    pub rejected: (u64, Option<String>),
    /// About how many bytes the events hold beyond what stands in the request.
    pub bytes: usize,
    /// The traces of records that don't say that they are sampled: of the others the spans come, if they aren't here yet.
    pub maybe_unsampled: HashSet<RootId>,
}

impl Said {
    /// Looks whether there is room for so many events more, before anything is made of them.
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
        // Else the writer would refuse all that came with it.
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

    /// Rejects the lines of trees of which nothing is known and nothing will be: a trace that isn't sampled sends no spans.
    pub fn reject_lines_of(&mut self, roots: &HashSet<RootId>) {
        let before = self.events.len();
        self.events.retain(|event| of_line(event).is_none_or(|(root, _)| !roots.contains(&root)));
        for _ in self.events.len()..before {
            self.reject("its trace is not sampled, and no span of it is here".to_owned());
        }
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

/// The events of an `ExportLogsServiceRequest`.
///
/// # Errors
/// If the body is none, or too much.
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
    /// Program of the workers that receivers are.
    pub const PROGRAM: &str = "OTLP receiver";

    /// A worker of its own, new for every server that is started.
    pub fn new(program: &str, clock: Clock) -> Self {
        // Two hashers seeded by the operating system.
        let random = |salt: u64| u128::from(RandomState::new().hash_one((salt, std::process::id(), clock.wall_us())));
        let id = WorkerId::new(random(1) << 64 | random(2) | 1).expect("the lowest bit is set");
        let hostname = gethostname::gethostname().to_string_lossy().into_owned();
        Self { worker: WorkerRef { id, hostname, pid: std::process::id(), program: program.to_owned() }, next: AtomicU64::new(1), clock }
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

    /// Says that it goes, if it was ever there: nobody beats for it, so that nobody would find out.
    pub async fn leave(&self, ingest: &Ingest) {
        if self.next.load(Ordering::Relaxed) > 1 {
            let offline = Event::WorkerOffline(WorkerOffline { time_us: self.clock.wall_us(), worker: None });
            if let Err(error) = self.store(ingest, vec![offline]).await {
                tracing::warn!(%error, "the worker {:?} could not say that it stops", self.worker.program);
            }
        }
    }

    fn batch(&self, events: Vec<Event>) -> Packed {
        let sequence = self.next.fetch_add(events.len() as u64, Ordering::Relaxed);
        let worker = self.worker.clone();
        Packed::from(Batch { version: VERSION, worker, sequence, sent_us: self.clock.wall_us(), dropped: Vec::new(), lost: false, events })
    }
}
