//! What is known of a process.

use std::borrow::Cow;
use std::collections::BTreeMap;

use monitor_wire::{
    Attachment, Error, Event, Fields, Kind, Link, Outcome, ProcessEnded, ProcessFolded, ProcessId, ProcessLogged, ProcessProgressed,
    ProcessQueued, ProcessStarted, ProcessUpdated, Progress, Retry, RootId, Source, WorkerId, WorkerRef,
};
use serde::{Deserialize, Serialize};

use crate::attempts::Earlier;
use crate::fold::{self, Shard};
use crate::task::TaskFacts;
use crate::told::{Stamp, Told, keep_first, keep_last};
use crate::worker::WorkerStatus;

/// All that events said about a process. Equal however they came.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessFacts {
    /// The highest attempt that any event spoke of: it decides.
    pub attempt: u32,
    /// Its queueing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queued: Option<Told<Definition>>,
    /// Its start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Told<Definition>>,
    /// Its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Told<End>>,
    /// The first sign of life other than a start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sign: Option<Told<()>>,
    /// Its parent, by the latest update.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<(Stamp, ProcessId)>,
    /// Its name, by the latest update.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<(Stamp, String)>,
    /// Its batch mark, by the latest update.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<(Stamp, String)>,
    /// Its own fields, each by its latest update.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, (Stamp, serde_json::Value)>,
    /// How far it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<Told<Progress>>,
    /// What it counts, if it is a fold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shards: Vec<Shard>,
    /// The id that another system gave it, by the first who said one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub native_id: Option<(Stamp, String)>,
    /// Ends that came beside the one that counts: the first ones of the highest attempts, in that order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other_ends: Vec<(u32, Stamp, Outcome)>,
    /// Attempts before the one that decides, by their numbers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub earlier: BTreeMap<u32, Earlier>,
    /// What it has to do with, all that was ever said, sorted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    /// What it is as a task of a queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<Box<TaskFacts>>,
    /// It had more fields or links than are kept.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_cut: bool,
}

/// So many of its own fields that updates told are kept, and so many links: the first in their order, which is that of no event.
pub const MAX_FIELDS: usize = 1_000;
/// Reasons that an agent gives if it judges a run whose command has succeeded, of the table of results (`monitor_tasks::EndReason`).
const JUDGED: [&str; 2] = ["expectation", "publishing"];
/// So many ends are remembered beside the one that counts.
const MAX_OTHER_ENDS: usize = 8;

/// What a start says, or a queueing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// Its parent, none for a root.
    pub parent_id: Option<ProcessId>,
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// The batch mark of a root.
    pub batch: Option<String>,
    /// Name of its thread.
    pub thread: Option<String>,
    /// Where it stands in the program.
    pub source: Option<Source>,
    /// How it came by its parent.
    pub attachment: Attachment,
    /// Its own fields.
    pub fields: Fields,
    /// After how long it is overdue.
    pub timeout_ms: Option<u64>,
    /// How many attempts there are to be at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts_of: Option<u32>,
}

/// What an end says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// How long it took, by a monotonic clock.
    pub elapsed_ns: Option<u64>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it failed.
    pub error: Option<Error>,
    /// Exit code of a command.
    pub exit_code: Option<i32>,
    /// Signal that ended a command.
    pub signal: Option<i32>,
    /// Why it ended so, in one word.
    pub reason: Option<String>,
    /// Another attempt is to come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
}

/// What every event about a process carries.
#[derive(Debug, Clone, Copy)]
pub struct ProcessEvent<'a> {
    /// The tree.
    pub root_id: RootId,
    /// The process.
    pub id: ProcessId,
    /// When.
    pub time_us: u64,
    /// Which attempt.
    pub attempt: u32,
    /// Whom it is about, where someone else relays it.
    pub worker: Option<&'a WorkerRef>,
    native_id: Option<&'a str>,
    links: &'a [Link],
    event: &'a Event,
}

impl<'a> ProcessEvent<'a> {
    /// The event as one about a process; none if it is about something else.
    pub fn of(event: &'a Event) -> Option<Self> {
        macro_rules! common {
            ($of:expr) => {
                common!($of, $of.attempt)
            };
            ($of:expr, $attempt:expr) => {
                Some(Self {
                    root_id: $of.root_id,
                    id: $of.id,
                    time_us: $of.time_us,
                    attempt: $attempt,
                    worker: $of.worker.as_ref(),
                    native_id: $of.native_id.as_deref(),
                    links: &$of.links,
                    event,
                })
            };
        }
        match event {
            Event::ProcessQueued(of @ ProcessQueued { .. }) => common!(of),
            Event::ProcessStarted(of @ ProcessStarted { .. }) => common!(of),
            Event::ProcessUpdated(of @ ProcessUpdated { .. }) => common!(of),
            Event::ProcessProgressed(of @ ProcessProgressed { .. }) => common!(of),
            Event::ProcessLogged(of @ ProcessLogged { .. }) => common!(of),
            Event::ProcessFolded(of @ ProcessFolded { .. }) => common!(of),
            Event::ProcessEnded(of @ ProcessEnded { .. }) => common!(of),
            Event::ProcessNotified(of) => common!(of),
            Event::TaskSent(of) => common!(of, of.attempt()),
            Event::TaskReceived(of) => common!(of, of.attempt()),
            Event::TaskStarted(of) => common!(of),
            Event::TaskSucceeded(of) => common!(of),
            Event::TaskFailed(of) => common!(of),
            Event::TaskRejected(of) => common!(of),
            Event::TaskRevoked(of) => common!(of),
            Event::TaskRetried(of) => common!(of),
            _ => None,
        }
    }

    /// The id that another system gave the process, if the event says one.
    pub fn native_id(&self) -> Option<&'a str> {
        self.native_id
    }

    /// Returns true if the event says anything about the process's state: what a process logs, or tells somebody, doesn't.
    pub fn is_fact(&self) -> bool {
        !matches!(self.event, Event::ProcessLogged(_) | Event::ProcessNotified(_))
    }
}

impl ProcessFacts {
    /// Takes an event about this process, by the number of the batch's worker.
    pub fn apply(&mut self, number: u64, batch_worker: WorkerId, event: &ProcessEvent<'_>) {
        if !event.is_fact() {
            return;
        }
        let stamp = Stamp { time_us: event.time_us, worker: batch_worker, number };
        let worker = event.worker.map_or(batch_worker, |worker| worker.id);
        let told = Told { attempt: event.attempt, stamp, worker, what: () };
        // Whoever tells that an attempt is to be repeated speaks of the next one, too.
        let attempt = event.attempt.saturating_add(u32::from(matches!(event.event, Event::TaskRetried(_))));
        if attempt > self.attempt {
            self.attempt = attempt;
            self.remember_kept();
        }
        if let Some(native_id) = event.native_id {
            self.keep_native_id(stamp, native_id);
        }
        for link in event.links {
            self.keep_link(link);
        }
        match event.event {
            Event::ProcessQueued(of) => keep_first(&mut self.queued, told.map(queued(of))),
            Event::ProcessStarted(of) => {
                self.remember_start(&told);
                keep_first(&mut self.started, told.map(started(of)));
            }
            Event::ProcessEnded(of) => {
                let told = told.map(ended(of));
                self.remember_end(&told);
                self.keep_end(told);
            }
            Event::ProcessUpdated(of) => {
                keep_first(&mut self.sign, told);
                keep_latest(&mut self.parent_id, stamp, of.parent_id.as_ref());
                keep_latest(&mut self.name, stamp, of.name.as_ref());
                keep_latest(&mut self.batch, stamp, of.batch.as_ref());
                for (key, value) in &of.fields {
                    self.keep_field(key.clone(), stamp, value.clone());
                }
            }
            Event::ProcessProgressed(of) => {
                let progress = Progress { done: of.done, total: of.total, unit: of.unit.clone() };
                keep_last(&mut self.progress, told.map(progress));
                keep_first(&mut self.sign, told);
            }
            Event::ProcessFolded(of) => fold::keep(&mut self.shards, worker, stamp, of),
            other => self.apply_task(&told, other),
        }
    }

    /// Takes what other facts of the same process say: as if their events had been applied here.
    pub fn merge(&mut self, other: Self) {
        let Self {
            attempt,
            queued,
            started,
            ended,
            sign,
            parent_id,
            name,
            batch,
            fields,
            progress,
            shards,
            native_id,
            other_ends,
            earlier,
            links,
            task,
            is_cut,
        } = other;
        self.is_cut |= is_cut;
        self.attempt = self.attempt.max(attempt);
        self.remember_kept();
        for told in earlier.values() {
            told.started.iter().for_each(|told| self.remember_start(told));
            told.ended.iter().for_each(|told| self.remember_end(told));
        }
        if let Some(told) = &started {
            self.remember_start(told);
        }
        if let Some(told) = &ended {
            self.remember_end(told);
        }
        if let Some(task) = task {
            task.started.iter().for_each(|told| self.remember_start(told));
            self.task.get_or_insert_default().merge(*task);
        }
        if let Some(told) = queued {
            keep_first(&mut self.queued, told);
        }
        if let Some(told) = started {
            keep_first(&mut self.started, told);
        }
        for (attempt, stamp, outcome) in other_ends {
            self.keep_other_end(attempt, stamp, outcome);
        }
        if let Some(told) = ended {
            self.keep_end(told);
        }
        if let Some(told) = sign {
            keep_first(&mut self.sign, told);
        }
        if let Some(told) = progress {
            keep_last(&mut self.progress, told);
        }
        if let Some((stamp, id)) = &parent_id {
            keep_latest(&mut self.parent_id, *stamp, Some(id));
        }
        if let Some((stamp, name)) = &name {
            keep_latest(&mut self.name, *stamp, Some(name));
        }
        if let Some((stamp, batch)) = &batch {
            keep_latest(&mut self.batch, *stamp, Some(batch));
        }
        for (key, (stamp, value)) in fields {
            self.keep_field(key, stamp, value);
        }
        for shard in shards {
            fold::keep_shard(&mut self.shards, shard);
        }
        if let Some((stamp, native_id)) = native_id {
            self.keep_native_id(stamp, &native_id);
        }
        for link in &links {
            self.keep_link(link);
        }
    }

    /// Keeps the end that counts, and remembers the other.
    pub(crate) fn keep_end(&mut self, told: Told<End>) {
        let of = |told: &Told<End>| (told.attempt, told.stamp, told.what.outcome.clone());
        let before = self.ended.as_ref().map(of);
        let new = of(&told);
        keep_first(&mut self.ended, told);
        let kept = self.ended.as_ref().map(of);
        for (attempt, stamp, outcome) in before.into_iter().chain([new]) {
            if kept.as_ref().is_none_or(|kept| (kept.0, kept.1) != (attempt, stamp)) {
                self.keep_other_end(attempt, stamp, outcome);
            }
        }
    }

    fn keep_other_end(&mut self, attempt: u32, stamp: Stamp, outcome: Outcome) {
        let key = |(attempt, stamp, _): &(u32, Stamp, Outcome)| (std::cmp::Reverse(*attempt), *stamp);
        if let Err(place) = self.other_ends.binary_search_by_key(&(std::cmp::Reverse(attempt), stamp), key) {
            self.other_ends.insert(place, (attempt, stamp, outcome));
            self.other_ends.truncate(MAX_OTHER_ENDS);
        }
    }

    /// How many ends of the attempt that decides say otherwise than the one that counts. If that is what an agent makes of a command that
    /// has succeeded, the command's own end contradicts nothing.
    pub fn contradictions(&self) -> u64 {
        let Some(ended) = self.now(self.ended.as_ref()) else { return 0 };
        if ended.what.reason.as_deref().is_some_and(|reason| JUDGED.contains(&reason)) {
            return 0;
        }
        let is_contrary = |(attempt, _, outcome): &&(u32, Stamp, Outcome)| *attempt == ended.attempt && *outcome != ended.what.outcome;
        self.other_ends.iter().filter(is_contrary).count() as u64
    }

    /// After how long it is overdue, by its own word.
    pub fn timeout_ms(&self) -> Option<u64> {
        self.now(self.started.as_ref())?.what.timeout_ms
    }

    fn keep_field(&mut self, key: String, stamp: Stamp, value: serde_json::Value) {
        match self.fields.get(&key) {
            Some((latest, _)) if *latest >= stamp => {}
            _ => {
                self.fields.insert(key, (stamp, value));
                if self.fields.len() > MAX_FIELDS {
                    // Whatever comes later, there are enough before it: it is never one of those that are kept.
                    self.fields.pop_last();
                    self.is_cut = true;
                }
            }
        }
    }

    fn keep_native_id(&mut self, stamp: Stamp, native_id: &str) {
        if self.native_id.as_ref().is_none_or(|(first, _)| stamp < *first) {
            self.native_id = Some((stamp, native_id.to_owned()));
        }
    }

    fn keep_link(&mut self, link: &Link) {
        let key = |link: &Link| (link.root_id, link.id, link.relation.clone());
        if let Err(place) = self.links.binary_search_by_key(&key(link), key) {
            self.links.insert(place, link.clone());
            self.is_cut |= self.links.len() > MAX_FIELDS;
            self.links.truncate(MAX_FIELDS);
        }
    }

    /// Its start and its end, if both are known and no other attempt was to come: what counts in statistics.
    pub fn finished(&self) -> Option<(Told<()>, &Told<End>)> {
        let ended = self.now(self.ended.as_ref()).filter(|told| told.what.retry.is_none());
        self.start().zip(ended)
    }

    /// The first start of the attempt that decides, whoever told it.
    pub(crate) fn start(&self) -> Option<Told<()>> {
        let started = self.now(self.started.as_ref()).map(|told| told.map(()));
        let of_task = self.task.as_ref().and_then(|task| self.now(task.started.as_ref())).map(|told| told.map(()));
        started.into_iter().chain(of_task).min_by_key(|told| told.stamp)
    }

    /// The worker on which the attempt that decides began last.
    pub(crate) fn starter(&self) -> Option<WorkerId> {
        let of_task = self.task.as_ref().and_then(|task| self.now(task.running.as_ref())).map(|told| told.worker);
        of_task.or_else(|| self.now(self.started.as_ref()).map(|told| told.worker))
    }

    /// The first word that the attempt that decides waits.
    pub(crate) fn waiting(&self) -> Option<Stamp> {
        let queued = self.now(self.queued.as_ref()).map(|told| told.stamp);
        let of_task = self.task.as_ref().and_then(|task| self.now(task.waiting.as_ref())).map(|told| told.stamp);
        queued.into_iter().chain(of_task).min()
    }

    /// Why it failed.
    pub fn error(&self) -> Option<&Error> {
        self.now(self.ended.as_ref())?.what.error.as_ref()
    }

    /// The workers on whose state this process's depends: it has something open there.
    pub fn open_at(&self) -> Vec<WorkerId> {
        let counting = self.shards.iter().filter(|shard| shard.counts.running > 0).map(|shard| shard.worker);
        let mut workers: Vec<_> = self.runner().into_iter().chain(counting).collect();
        workers.sort_unstable();
        workers.dedup();
        workers
    }

    /// Who runs it now.
    pub(crate) fn runner(&self) -> Option<WorkerId> {
        if let Some(ended) = self.now(self.ended.as_ref()) {
            // Whoever is to begin the next attempt.
            return ended.what.retry.map(|_| ended.worker);
        }
        if self.is_requeued() {
            return None;
        }
        // Something that waits runs nowhere, whatever was said about it meanwhile.
        let is_waiting = self.waiting().is_some();
        self.starter().or_else(|| self.now(self.sign.as_ref()).filter(|_| !is_waiting && self.shards.is_empty()).map(|told| told.worker))
    }

    /// What was told, if it is of the attempt that decides.
    pub(crate) fn now<'a, T>(&self, told: Option<&'a Told<T>>) -> Option<&'a Told<T>> {
        told.filter(|told| told.attempt == self.attempt)
    }

    /// When it began, as far as is known: the start of its first attempt, else its queueing, its end, or the first sign of it.
    pub fn at_us(&self) -> u64 {
        self.first_start_us()
            .or_else(|| self.start().map(|told| told.stamp.time_us))
            .or_else(|| self.waiting().map(|stamp| stamp.time_us))
            .or_else(|| self.now(self.ended.as_ref()).map(|told| told.stamp.time_us))
            .or_else(|| self.sign.as_ref().map(|told| told.stamp.time_us))
            .or_else(|| self.shards.iter().map(|shard| shard.stamp.time_us).min())
            .unwrap_or(0)
    }

    /// Whether anyone said what it is and where it belongs.
    pub fn is_defined(&self) -> bool {
        self.definition().is_some() || !self.shards.is_empty()
    }

    /// What it is, by the start or queueing of the highest attempt that has one; else by the messages of a queue.
    pub(crate) fn definition(&self) -> Option<Cow<'_, Definition>> {
        let started = self.started.as_ref().map(|told| (told.attempt, true, &told.what));
        let queued = self.queued.as_ref().map(|told| (told.attempt, false, &told.what));
        let told = started.into_iter().chain(queued).max_by_key(|(attempt, is_start, _)| (*attempt, *is_start));
        told.map(|(_, _, what)| Cow::Borrowed(what)).or_else(|| self.task.as_ref()?.definition().map(Cow::Owned))
    }

    /// What a worker that is gone made of it.
    pub(crate) fn left_by(&self, status: &mut dyn FnMut(WorkerId) -> WorkerStatus) -> WorkerStatus {
        self.runner().map(status).unwrap_or_default()
    }
}

fn keep_latest<T: Clone>(kept: &mut Option<(Stamp, T)>, stamp: Stamp, new: Option<&T>) {
    if let Some(new) = new
        && kept.as_ref().is_none_or(|(latest, _)| stamp > *latest)
    {
        *kept = Some((stamp, new.clone()));
    }
}

fn started(of: &ProcessStarted) -> Definition {
    Definition {
        parent_id: of.parent_id,
        kind: of.kind.clone(),
        name: of.name.clone(),
        batch: of.batch.clone(),
        thread: of.thread.clone(),
        source: of.source.clone(),
        attachment: of.attachment.clone(),
        fields: of.fields.clone(),
        timeout_ms: of.timeout_ms,
        attempts_of: of.attempts_of,
    }
}

fn queued(of: &ProcessQueued) -> Definition {
    Definition {
        parent_id: of.parent_id,
        kind: of.kind.clone(),
        name: of.name.clone(),
        batch: of.batch.clone(),
        thread: None,
        source: None,
        attachment: Attachment::EXPLICIT,
        fields: of.fields.clone(),
        timeout_ms: None,
        attempts_of: None,
    }
}

fn ended(of: &ProcessEnded) -> End {
    End {
        elapsed_ns: of.elapsed_ns,
        outcome: of.outcome.clone(),
        error: of.error.clone(),
        exit_code: of.exit_code,
        signal: of.signal,
        reason: of.reason.clone(),
        retry: of.retry,
    }
}
