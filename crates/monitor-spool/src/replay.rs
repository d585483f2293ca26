//! Reads the events of a dead program in batches, for sending.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use monitor_wire::{Dropped, Event, Registered, WorkerId, WorkerOffline, WorkerOnline, WorkerRef, WorkerRole};
use serde::Deserialize;
use serde_json::Value;

use crate::folder::Folder;
use crate::journal::{Journal, Meta, Stage, merged};
use crate::parcel::Parcel;
use crate::passed_tests::{EventHead, EventKey, Fate, PassedTests};
use crate::program::{OTHER, Program, TYPES};
use crate::reader::{Estate, Events};
use crate::sending::{Batches, Settled};
use crate::{Answer, Head, SpoolError};

/// Number of events in a batch created here.
const BATCH: usize = 5_000;
/// Assumed heartbeat interval of a program that never reported one.
const HEARTBEAT_MS: u64 = 10_000;

/// Sends the records of a dead program: numbered events unchanged, then the remaining records with new numbers.
/// [`send_all`](crate::send_all) posts the [`next`](Self::next) batch and settles it, until there is none. Then [`finish`](Self::finish)
/// removes the folder. If this is dropped earlier, the rest stays in the spool.
#[derive(Debug)]
pub struct Replay {
    folder: Arc<Folder>,
    worker: WorkerRef,
    program: Option<Program>,
    journal: Journal,
    /// Counts of events dropped by the program, and of damage found by the reader.
    dropped: Vec<Dropped>,
    /// Number of dropped events reported with the last accepted batch. `None` before the first batch, which also reports that the program
    /// is dead.
    told: Option<u64>,
    next: u64,
    /// Batches that could not be written to the journal for lack of disk space.
    unkept: VecDeque<Parcel>,
    /// Parts of the batch being sent. The first part is sent now.
    parts: VecDeque<Parcel>,
    /// Number of the last event of these parts.
    end: u64,
    /// Number of damaged batches, entries and records.
    damaged: u64,
    /// Number of accepted events.
    accepted: u64,
    /// True if rings and lane have another layout.
    is_foreign: bool,
    /// True if the program left no goodbye, so that its open processes are lost.
    is_lost: bool,
    /// Events about processes whose test is not decided yet.
    undecided: Vec<(u64, EventKey)>,
    /// Numbers of omitted events, sorted.
    left_out: Vec<u64>,
}

impl Replay {
    /// Reads the folder and moves unnumbered records into the journal, followed by a goodbye if the program exited at `ended_us`. The
    /// server is known to have the events up to `acknowledged`.
    pub(crate) fn open(folder: Folder, acknowledged: u64, ended_us: Option<u64>, tests: Option<&mut PassedTests>) -> Self {
        let folder = Arc::new(folder);
        let mut estate = Estate::read(folder.dir(), folder.worker());
        let acknowledged = estate.acknowledged().max(acknowledged);
        let mut places = std::mem::take(&mut estate.journal.places);
        places.retain(|place| place.last() > acknowledged);
        places.sort_by_key(|place| place.first);
        let state = crate::program::State { next: estate.next(), acknowledged, ..estate.program.state.unwrap_or_default() };
        let mut replay = Self {
            worker: estate.program.about.as_ref().map_or_else(|| unknown(folder.worker()), |about| about.worker.clone()),
            // State of another version can't be continued.
            program: if estate.program.other_version.is_some() { None } else { Program::open(&folder, state).ok() },
            journal: Journal::open(folder.clone(), places.into(), std::mem::take(&mut estate.files).into()),
            dropped: all_dropped(&estate),
            told: None,
            next: state.next,
            unkept: VecDeque::new(),
            parts: VecDeque::new(),
            end: 0,
            damaged: estate.damaged(),
            accepted: 0,
            is_foreign: estate.is_foreign,
            is_lost: ended_us.is_none(),
            undecided: Vec::new(),
            left_out: Vec::new(),
            folder,
        };
        let tests = tests.map(|tests| {
            replay.read_for(tests, &estate);
            &*tests
        });
        replay.move_over(&estate, ended_us.or(estate.program.ended_us), tests);
        // Damage to the journal is not moved, so a later reader finds it again.
        replay.journal.count_damaged(estate.journal.lost_since(acknowledged));
        replay
    }

    /// Passes all events of the program to `tests`.
    fn read_for(&mut self, tests: &mut PassedTests, estate: &Estate) {
        for parcel in self.journal.batches() {
            let json = parcel.json().unwrap_or_default();
            // An unreadable batch is sent unchanged, and the server refuses it.
            let events = EventHead::all(&json).unwrap_or_default();
            tests.learn(&self.worker, events.iter().map(|(_, head)| head));
            let keys = (parcel.first()..).zip(&events).filter_map(|(number, (_, head))| Some((number, head.key()?)));
            self.undecided.extend(keys);
        }
        if !self.is_foreign {
            for batch in Events::of(estate).batches(BATCH) {
                let heads: Vec<EventHead<'_>> = batch.iter().filter_map(|event| EventHead::deserialize(event).ok()).collect();
                tests.learn(&self.worker, heads.iter());
            }
        }
        if tests.is_program(&self.worker) {
            tests.program_is_over();
        } else {
            tests.is_dead(&self.worker);
        }
    }

    /// Omits the events below tests that passed. Returns false if a test is not decided yet.
    pub fn decide(&mut self, tests: &PassedTests) -> bool {
        let fates: Vec<(u64, Fate)> = self.undecided.iter().map(|(number, key)| (*number, tests.fate(&self.worker, *key))).collect();
        if fates.iter().any(|(_, fate)| *fate == Fate::Open) {
            return false;
        }
        self.left_out.extend(fates.into_iter().filter(|(_, fate)| *fate == Fate::LeftOut).map(|(number, _)| number));
        self.left_out.sort_unstable();
        self.undecided = Vec::new();
        true
    }

    /// Numbers the records of rings and lane, moves them to the journal, and removes the rings and the lane.
    fn move_over(&mut self, estate: &Estate, ended_us: Option<u64>, tests: Option<&PassedTests>) {
        if self.is_foreign {
            return;
        }
        let meta = Meta { dropped: self.dropped.clone(), ..estate.journal.meta.clone() };
        let events = Events::of(estate);
        let offline = |time_us| serde_json::to_value(Event::WorkerOffline(WorkerOffline { time_us, worker: None })).ok();
        let goodbye = ended_us.and_then(offline).map(|offline| vec![offline]);
        let worker = self.worker.clone();
        let key = |event: &Value| EventHead::deserialize(event).ok()?.key();
        let is_left_out = |event: &Value| tests.zip(key(event)).is_some_and(|(tests, key)| tests.fate(&worker, key) == Fate::LeftOut);
        let shown = events.batches(BATCH).map(|mut batch| {
            batch.retain(|event| !is_left_out(event));
            batch
        });
        let mut batches = shown.filter(|batch| !batch.is_empty()).chain(goodbye).peekable();
        let mut is_silent = self.next == 1;
        while let Some(mut batch) = batches.next() {
            if std::mem::take(&mut is_silent) {
                batch.splice(0..0, online(estate));
            }
            let Some(parcel) = Parcel::of(self.next, &batch) else { continue };
            if tests.is_some() {
                self.undecided.extend((self.next..).zip(&batch).filter_map(|(number, event)| Some((number, key(event)?))));
            }
            self.next += parcel.count();
            let stage = if batches.peek().is_none() { Stage::Last } else { Stage::Draft };
            // A batch that is only in memory must get the same numbers when it is read again, so later batches are not written to the
            // journal either.
            if !self.unkept.is_empty() || self.journal.append_as(stage, &parcel, &meta).is_err() {
                self.unkept.push_back(parcel);
            }
        }
        if self.unkept.is_empty() {
            if let Some(program) = &mut self.program {
                program.advance(self.next, estate.journal.meta.lane);
            }
            for file in &estate.memory {
                self.folder.remove(file, 0);
            }
        }
    }

    /// Returns the worker whose records are sent.
    pub fn worker(&self) -> &WorkerRef {
        &self.worker
    }

    /// Returns the path of the folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the number of pending events.
    pub fn waiting(&self) -> u64 {
        let others = self.unkept.iter().fold(0_u64, |sum, parcel| sum.saturating_add(parcel.count()));
        let waiting = self.journal.waiting().max(u64::from(!self.parts.is_empty()));
        waiting.saturating_add(others)
    }

    /// Returns the number of accepted events.
    pub fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Returns the number of unreadable batches, entries and records.
    pub fn damaged(&self) -> u64 {
        self.damaged
    }

    /// Returns the counts of dropped events for the next request.
    pub fn dropped(&self) -> Vec<Dropped> {
        merged(&self.dropped, &self.journal.dropped())
    }

    /// Returns the next batch. `None` if everything is settled. An empty batch only reports dropped events and that the program is dead.
    #[allow(clippy::should_implement_trait, reason = "the same one until it is settled")]
    pub fn next(&mut self) -> Option<&Parcel> {
        while self.parts.is_empty() {
            let Some(parcel) = self.journal.front_joined().or_else(|| self.unkept.front().cloned()) else {
                let empty = (self.told != Some(sum(&self.dropped()))).then(|| Parcel::empty(self.next))?;
                self.end = empty.last();
                self.parts.push_back(empty);
                break;
            };
            self.end = parcel.last();
            let is_left_out = |number| self.left_out.binary_search(&number).is_ok();
            if (parcel.first()..=parcel.last()).any(is_left_out)
                && let Some(parts) = parcel.without_all(is_left_out)
            {
                self.parts.extend(parts);
            } else {
                self.parts.push_back(parcel);
            }
            if self.parts.is_empty() {
                self.settled();
            }
        }
        self.parts.front()
    }

    /// Called when all parts of a batch are stored or dropped.
    fn settled(&mut self) {
        if let Some(program) = &mut self.program {
            program.acknowledge(self.end);
        }
        if self.journal.is_empty() {
            self.unkept.pop_front();
        }
        self.journal.acknowledge(self.end);
    }

    /// Puts parts in front of the queue.
    fn put_back(&mut self, before: Option<Parcel>, behind: Option<Parcel>) {
        for parcel in [behind, before].into_iter().flatten() {
            self.parts.push_front(parcel);
        }
    }

    /// Removes the folder after everything is settled.
    ///
    /// # Errors
    /// If removal fails, or if the rings have another layout. In that case the folder stays for the version that can read them.
    pub fn finish(self) -> Result<(), SpoolError> {
        if self.is_foreign {
            let why = "what its program recorded last lies there as another version of the client keeps it: ship it with that version";
            return Err(SpoolError::Unreadable { path: self.folder.path().to_owned(), why: why.to_owned() });
        }
        self.folder.delete()
    }

    /// Drops all pending events for lack of space. Only their counts are kept.
    pub(crate) fn give_up(mut self) -> Result<(), SpoolError> {
        let names = self.folder.dir().names().map_err(SpoolError::disk("read", self.folder.path()))?;
        while let Some(parcel) = self.journal.front().or_else(|| self.unkept.pop_front()) {
            self.journal.lose(&parcel);
            self.journal.acknowledge(parcel.last());
        }
        let meta = Meta { dropped: self.dropped.clone(), ..Meta::default() };
        self.journal.begin_anew()?;
        self.journal.append_as(Stage::GivenUp, &Parcel::empty(self.next), &meta)?;
        for name in names.iter().filter(|name| !["program", "lock"].contains(&name.as_str())) {
            self.folder.remove(name, 0);
        }
        Ok(())
    }
}

impl Batches for Replay {
    fn request<T>(&mut self, sent_us: u64, make: impl FnOnce(&Parcel, &Head<'_>) -> T) -> Option<T> {
        let (worker, dropped, lost) = (self.worker.clone(), self.dropped(), self.is_lost);
        let parcel = self.next()?;
        Some(make(parcel, &Head { worker: &worker, sent_us, dropped: &dropped, lost }))
    }

    fn settle(&mut self, answer: &Answer) -> Settled {
        let Some(parcel) = self.parts.pop_front() else { return Settled::Waits };
        let settled = match answer {
            Answer::Accepted => {
                self.told = Some(sum(&self.dropped()));
                self.accepted += parcel.count();
                Settled::Taken
            }
            Answer::TooLarge { .. } => {
                if let Some((before, behind)) = parcel.halve() {
                    self.put_back(Some(before), Some(behind));
                    Settled::Taken
                } else {
                    self.journal.reject_all(&parcel);
                    Settled::GivenUp
                }
            }
            Answer::Unreadable { number, .. } => {
                match parcel.without(*number) {
                    Some((before, rejected, behind)) => {
                        self.journal.reject(rejected);
                        self.put_back(before, behind);
                    }
                    None => self.journal.count_damaged(parcel.count()),
                }
                Settled::GivenUp
            }
            // The server can't read it either, whatever changes there.
            Answer::Refused { .. } if parcel.is_damaged() => {
                self.journal.count_damaged(parcel.count());
                Settled::GivenUp
            }
            Answer::Refused { .. } | Answer::Busy { .. } | Answer::Away { .. } => {
                self.parts.push_front(parcel);
                return Settled::Waits;
            }
        };
        if self.parts.is_empty() {
            self.settled();
        } else if let (Answer::Accepted, Some(program)) = (answer, &mut self.program) {
            program.acknowledge(parcel.last());
        }
        settled
    }
}

fn sum(dropped: &[Dropped]) -> u64 {
    dropped.iter().fold(0, |sum, dropped| sum.saturating_add(dropped.count))
}

/// Placeholder for a worker whose description is damaged.
fn unknown(id: WorkerId) -> WorkerRef {
    WorkerRef { id, hostname: String::new(), pid: 0, program: "(unknown)".to_owned() }
}

/// Creates the first event of a program that was killed before it sent it.
fn online(estate: &Estate) -> Option<Value> {
    let about = estate.program.about.as_ref()?;
    let is_function = |(_, site): &(&u64, &Registered)| site.kind.as_str() != "span";
    let mut sites: Vec<_> = estate.program.sites.iter().filter(is_function).collect();
    sites.sort_by_key(|(number, _)| **number);
    serde_json::to_value(Event::WorkerOnline(WorkerOnline {
        time_us: about.started_us,
        started_us: about.started_us,
        version: about.version.clone(),
        heartbeat_interval_ms: HEARTBEAT_MS,
        registered: sites.into_iter().map(|(_, site)| site.clone()).collect(),
        role: WorkerRole::PROGRAM,
        capabilities: Vec::new(),
        worker: None,
    }))
    .ok()
}

/// Returns the events dropped by the program, and the damage in rings and lane.
pub(crate) fn all_dropped(estate: &Estate) -> Vec<Dropped> {
    let drop = |event_type: &str, reason: &str, count| Dropped {
        event_type: event_type.to_owned(),
        reason: reason.to_owned(),
        root_id: None,
        count,
    };
    let mut dropped = estate.journal.meta.dropped.clone();
    // Records refused by a full ring are counted in the ring.
    let refused = estate.images.values().fold(0_u64, |sum, image| sum.saturating_add(image.refused));
    let mut counts = estate.program.dropped.clone();
    match counts.iter_mut().find(|(event_type, _)| *event_type == "process-started") {
        Some((_, count)) => *count = count.saturating_add(refused),
        None => counts.push(("process-started", refused)),
    }
    for (event_type, count) in counts {
        // Types without a separate counter are reported by their own names.
        let is_other = |told: &str| event_type == OTHER && !TYPES.contains(&told);
        let is_it = |told: &&Dropped| told.reason == "memory" && (told.event_type == event_type || is_other(&told.event_type));
        let told = dropped.iter().filter(is_it).fold(0_u64, |sum, told| sum.saturating_add(told.count));
        if count > told {
            dropped = merged(&dropped, &[drop(event_type, "memory", count - told)]);
        }
    }
    let images = estate.images.values().fold(0_u64, |sum, image| sum.saturating_add(image.damaged));
    let found = [
        ("unknown", "damaged", estate.damaged_entries),
        ("process-ended", "damaged", images),
        ("unknown", "spool", estate.program.in_memory),
    ];
    let found: Vec<Dropped> =
        found.into_iter().filter(|(.., count)| *count > 0).map(|(event_type, reason, count)| drop(event_type, reason, count)).collect();
    merged(&dropped, &found)
}
