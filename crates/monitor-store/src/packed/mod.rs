//! A batch in the form that waits for the writer. Repeated values are stored once, and common starts and ends refer to them by index.

pub mod compact;
mod decode;
mod limits;
mod scan;
pub mod size;
#[cfg(test)]
mod tests;

use foldhash::HashMap;
use monitor_wire::{
    Attachment, Batch, Dropped, Error, Event, Kind, LogEntry, Outcome, ProcessEnded, ProcessId, ProcessStarted, RootId, Source, State,
    WorkerRef,
};
use serde::{Deserialize, Serialize};

pub use self::decode::Refused;
pub use self::limits::Limits;
pub use self::limits::{cut_fields, cut_text, fit, shortened};
pub use self::size::fields as bytes_of_fields;

/// A batch of consecutively numbered events that a worker sends.
#[derive(Debug, PartialEq)]
pub struct Packed {
    /// The worker that sends the batch.
    pub worker: WorkerRef,
    /// Number of the first event.
    pub sequence: u64,
    /// Time at which the batch was sent, in Unix microseconds by the sender's clock.
    pub sent_us: u64,
    /// Numbers of events dropped since the worker started.
    pub dropped: Vec<Dropped>,
    /// True if the worker has ended and another process sends its remaining events.
    pub lost: bool,
    /// Roots of the packed events, which refer to them by index.
    pub roots: Vec<RootId>,
    /// Names, kinds and source locations of processes.
    pub sites: Vec<Site>,
    /// Names of threads.
    pub threads: Vec<Box<str>>,
    /// Batch marks.
    pub marks: Vec<Box<str>>,
    /// Values of ends apart from their outcomes.
    pub endings: Vec<Ending>,
    /// The events. The first one has the number `sequence`.
    pub events: Vec<PackedEvent>,
    /// Approximate memory size in bytes.
    pub bytes: usize,
    /// The batch in the encoding of the event log. Empty until [`Packed::write_for_log`] is called.
    pub logged: Vec<u8>,
}

/// Name, kind and source location that several processes may share.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Site {
    /// Name of the process.
    pub name: Box<str>,
    /// Kind of the process.
    pub kind: Kind,
    /// Source file and line.
    pub source: Option<Source>,
}

/// Values of an end apart from its outcome: the error, and the values that only commands have. It is stored in the event log as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ending {
    /// Error of a failed process.
    #[serde(flatten)]
    pub error: Option<Error>,
    /// Exit code of a command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Signal that ended a command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// Reason why the process ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Ending {
    /// Returns true if a value is set that only commands have.
    pub fn is_of_command(&self) -> bool {
        self.exit_code.is_some() || self.signal.is_some() || self.reason.is_some()
    }

    /// Returns true if no value is set.
    fn is_nothing(&self) -> bool {
        self.error.is_none() && !self.is_of_command()
    }
}

/// Index in one of a batch's lists.
pub type Place = u32;
/// Index of a missing value.
pub const NOWHERE: Place = u32::MAX;

/// An event. Common starts and ends are packed.
#[derive(Debug, PartialEq)]
pub enum PackedEvent {
    /// A start without rare values.
    Started(Started),
    /// An end without rare values.
    Ended(Ended),
    /// Any other event.
    Other(Box<Event>),
}

/// The start of a first attempt without fields, links or other rare values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Started {
    /// Index in [`Packed::roots`].
    pub root: Place,
    /// Index in [`Packed::sites`].
    pub site: Place,
    /// Index in [`Packed::threads`], or [`NOWHERE`].
    pub thread: Place,
    /// Index in [`Packed::marks`], or [`NOWHERE`].
    pub mark: Place,
    /// Id of the process.
    pub id: ProcessId,
    /// Id of its parent.
    pub parent_id: Option<ProcessId>,
    /// Time of the start, in Unix microseconds.
    pub time_us: u64,
}

/// The end of a first attempt without a retry, links or other rare values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Index in [`Packed::roots`].
    pub root: Place,
    /// Index in [`Packed::endings`], or [`NOWHERE`].
    pub ending: Place,
    /// The outcome.
    pub outcome: PlainOutcome,
    /// Id of the process.
    pub id: ProcessId,
    /// Time of the end, in Unix microseconds.
    pub time_us: u64,
    /// Duration, in nanoseconds.
    pub elapsed_ns: Option<u64>,
}

/// Outcome of a packed end. Ends with other outcomes are not packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlainOutcome {
    /// `succeeded`.
    Succeeded,
    /// `failed`.
    Failed,
    /// `cancelled`.
    Cancelled,
}

impl PlainOutcome {
    pub(crate) fn of(outcome: &str) -> Option<Self> {
        match outcome {
            "succeeded" => Some(Self::Succeeded),
            "failed" => Some(Self::Failed),
            "cancelled" => Some(Self::Cancelled),
            _ => None,
        }
    }

    /// Converts it to an outcome.
    pub fn outcome(self) -> Outcome {
        match self {
            Self::Succeeded => Outcome::SUCCEEDED,
            Self::Failed => Outcome::FAILED,
            Self::Cancelled => Outcome::CANCELLED,
        }
    }

    /// Returns the state of a process with this outcome.
    pub fn state(self) -> State {
        match self {
            Self::Succeeded => State::SUCCEEDED,
            Self::Failed => State::FAILED,
            Self::Cancelled => State::CANCELLED,
        }
    }
}

impl From<Batch> for Packed {
    fn from(batch: Batch) -> Self {
        let mut packing = Packing::default();
        let events = batch.events.into_iter().map(|event| packing.event(event)).collect();
        Packed { lost: batch.lost, ..packing.close(batch.worker, (batch.sequence, batch.sent_us), batch.dropped, events) }
    }
}

impl Packed {
    /// Returns the number of events.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Returns true if the batch has no events.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Returns the number of the last event, or `sequence - 1` if there are no events.
    pub fn last_number(&self) -> u64 {
        self.sequence.saturating_add(self.events.len() as u64).saturating_sub(1)
    }

    /// Encodes the batch for the event log, so that the single writer thread doesn't have to. The batch must not be changed afterwards.
    pub fn write_for_log(&mut self) {
        self.logged = compact::write(self);
        self.bytes += self.logged.capacity();
    }

    /// Returns the type of an event, as on the wire.
    pub fn type_name(&self, index: usize) -> &str {
        match &self.events[index] {
            PackedEvent::Started(_) => "process-started",
            PackedEvent::Ended(_) => "process-ended",
            PackedEvent::Other(event) => event.type_name(),
        }
    }

    /// Returns an event as it was received.
    pub fn event(&self, index: usize) -> Event {
        match &self.events[index] {
            PackedEvent::Started(started) => {
                let site = &self.sites[started.site as usize];
                let root_id = self.roots[started.root as usize];
                Event::ProcessStarted(ProcessStarted {
                    parent_id: started.parent_id,
                    batch: at(&self.marks, started.mark).map(ToString::to_string),
                    thread: at(&self.threads, started.thread).map(ToString::to_string),
                    source: site.source.clone(),
                    ..ProcessStarted::new(root_id, started.id, started.time_us, site.kind.clone(), site.name.to_string())
                })
            }
            PackedEvent::Ended(ended) => {
                let Ending { error, exit_code, signal, reason } = at(&self.endings, ended.ending).cloned().unwrap_or_default();
                Event::ProcessEnded(ProcessEnded {
                    elapsed_ns: ended.elapsed_ns,
                    error,
                    exit_code,
                    signal,
                    reason,
                    ..ProcessEnded::new(self.roots[ended.root as usize], ended.id, ended.time_us, ended.outcome.outcome())
                })
            }
            PackedEvent::Other(event) => (**event).clone(),
        }
    }

    /// Returns the log line that an event contains. Returns `None` for other events.
    pub fn log(&self, index: usize) -> Option<LogEntry> {
        let PackedEvent::Other(event) = &self.events[index] else { return None };
        let Event::ProcessLogged(logged) = &**event else { return None };
        Some(LogEntry {
            process_id: logged.id,
            time_us: logged.time_us,
            level: logged.level.clone(),
            message: logged.message.clone(),
            target: logged.target.clone(),
            stream: logged.stream.clone(),
            fields: logged.fields.clone(),
            worker_id: logged.worker.as_ref().map_or(self.worker.id, |worker| worker.id),
            number: self.sequence + index as u64,
        })
    }
}

fn at<T>(list: &[T], place: Place) -> Option<&T> {
    list.get(place as usize)
}

/// State while a batch is packed. The maps contain the index of each value in `packed`.
#[derive(Default)]
struct Packing<'a> {
    roots: HashMap<RootId, Place>,
    sites: HashMap<SiteKey<'a>, Place>,
    threads: HashMap<&'a str, Place>,
    endings: HashMap<EndingKey<'a>, Place>,
    /// Sites of events that were decoded by serde.
    own_sites: HashMap<Site, Place>,
    own_threads: HashMap<Box<str>, Place>,
    packed: Lists,
    last_root: Option<(RootId, Place)>,
    last_root_text: Option<(&'a str, Place)>,
    last_thread: Option<Place>,
    /// The last worker that an event named explicitly, with its JSON text in the body.
    last_worker: Option<(&'a str, WorkerRef)>,
}

/// Key of a site with borrowed texts: name, kind, file and line.
type SiteKey<'a> = (&'a str, &'a str, &'a str, u32);
/// Key of an ending with borrowed texts: the JSON text of its error, its exit code, its signal and its reason.
type EndingKey<'a> = (Option<&'a str>, Option<i32>, Option<i32>, Option<&'a str>);

#[derive(Default)]
struct Lists {
    roots: Vec<RootId>,
    sites: Vec<Site>,
    threads: Vec<Box<str>>,
    marks: Vec<Box<str>>,
    endings: Vec<Ending>,
}

impl<'a> Packing<'a> {
    fn root(&mut self, id: RootId) -> Place {
        if let Some((last, place)) = self.last_root
            && last == id
        {
            return place;
        }
        let place = *self.roots.entry(id).or_insert_with(|| push(&mut self.packed.roots, id));
        self.last_root = Some((id, place));
        place
    }

    fn site(&mut self, name: &'a str, kind: &'a str, source: Option<(&'a str, u32)>) -> Place {
        // An empty file name in the key means that there is no source. Sources that really have an empty file name are rare and are not
        // shared.
        let (file, line) = source.unwrap_or_default();
        let make = || Site {
            name: name.into(),
            kind: Kind::from(kind),
            source: source.map(|(file, line)| Source { file: file.to_owned(), line }),
        };
        if source.is_some() && file.is_empty() {
            return push(&mut self.packed.sites, make());
        }
        *self.sites.entry((name, kind, file, line)).or_insert_with(|| push(&mut self.packed.sites, make()))
    }

    fn thread(&mut self, thread: Option<&'a str>) -> Place {
        let Some(thread) = thread else { return NOWHERE };
        if let Some(last) = self.last_thread
            && *self.packed.threads[last as usize] == *thread
        {
            return last;
        }
        let place = *self.threads.entry(thread).or_insert_with(|| push(&mut self.packed.threads, thread.into()));
        self.last_thread = Some(place);
        place
    }

    fn mark(&mut self, mark: Option<&str>) -> Place {
        mark.map_or(NOWHERE, |mark| push(&mut self.packed.marks, mark.into()))
    }

    fn ending(&mut self, ending: Ending) -> Place {
        if ending.is_nothing() { NOWHERE } else { push(&mut self.packed.endings, ending) }
    }

    /// Packs an event that was decoded by serde.
    fn event(&mut self, event: Event) -> PackedEvent {
        match event {
            Event::ProcessStarted(of) if is_plain_start(&of) => {
                let site = Site { name: of.name.into(), kind: of.kind, source: of.source };
                PackedEvent::Started(Started {
                    root: self.root(of.root_id),
                    site: place_of(&mut self.own_sites, &mut self.packed.sites, site),
                    thread: of.thread.map_or(NOWHERE, |thread| place_of(&mut self.own_threads, &mut self.packed.threads, thread.into())),
                    mark: self.mark(of.batch.as_deref()),
                    id: of.id,
                    parent_id: of.parent_id,
                    time_us: of.time_us,
                })
            }
            Event::ProcessEnded(of) => match PlainOutcome::of(of.outcome.as_str()).filter(|_| is_plain_end(&of)) {
                Some(outcome) => PackedEvent::Ended(Ended {
                    root: self.root(of.root_id),
                    ending: self.ending(Ending { error: of.error, exit_code: of.exit_code, signal: of.signal, reason: of.reason }),
                    outcome,
                    id: of.id,
                    time_us: of.time_us,
                    elapsed_ns: of.elapsed_ns,
                }),
                None => PackedEvent::Other(Box::new(Event::ProcessEnded(of))),
            },
            Event::Unplaced(mut of) => {
                of.id = Some(crate::native::process_id(&of.native_source, of.native_id()));
                PackedEvent::Other(Box::new(Event::Unplaced(of)))
            }
            event => PackedEvent::Other(Box::new(event)),
        }
    }

    fn close(self, worker: WorkerRef, (sequence, sent_us): (u64, u64), dropped: Vec<Dropped>, events: Vec<PackedEvent>) -> Packed {
        let Lists { roots, sites, threads, marks, endings } = self.packed;
        let mut packed = Packed {
            worker,
            sequence,
            sent_us,
            dropped,
            lost: false,
            roots,
            sites,
            threads,
            marks,
            endings,
            events,
            bytes: 0,
            logged: Vec::new(),
        };
        packed.bytes = size::size(&packed);
        packed
    }
}

fn push<T>(list: &mut Vec<T>, item: T) -> Place {
    list.push(item);
    (list.len() - 1) as Place
}

/// Returns the index of an item, and appends the item to the list if it is new.
fn place_of<T: Clone + Eq + std::hash::Hash>(known: &mut HashMap<T, Place>, list: &mut Vec<T>, item: T) -> Place {
    if let Some(place) = known.get(&item) {
        return *place;
    }
    let place = push(list, item.clone());
    known.insert(item, place);
    place
}

fn is_plain_start(of: &ProcessStarted) -> bool {
    of.attempt == 1
        && of.worker.is_none()
        && of.native_id.is_none()
        && of.links.is_empty()
        && of.attachment == Attachment::EXPLICIT
        && of.fields.is_empty()
        && of.timeout_ms.is_none()
        && of.attempts_of.is_none()
}

fn is_plain_end(of: &ProcessEnded) -> bool {
    of.attempt == 1 && of.worker.is_none() && of.native_id.is_none() && of.links.is_empty() && of.retry.is_none()
}
