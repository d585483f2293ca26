//! The facts about a process.

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

/// All facts that events reported about a process. Independent of order and repetition.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessFacts {
    /// The highest attempt that any event reported. It is the deciding attempt.
    pub attempt: u32,
    /// Queueing of the process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queued: Option<Told<Definition>>,
    /// Start of the process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Told<Definition>>,
    /// End of the process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Told<End>>,
    /// The first event that shows the process running, other than a start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sign: Option<Told<()>>,
    /// Parent, by the latest update.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<(Stamp, ProcessId)>,
    /// Name, by the latest update.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<(Stamp, String)>,
    /// Batch mark, by the latest update.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<(Stamp, String)>,
    /// Fields, each by its latest update.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, (Stamp, serde_json::Value)>,
    /// Latest progress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<Told<Progress>>,
    /// Shards of the counts, if the process is a fold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shards: Vec<Shard>,
    /// Native id, by the first event that contains one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub native_id: Option<(Stamp, String)>,
    /// Ends other than the end that counts: the first ends of the highest attempts, in this order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other_ends: Vec<(u32, Stamp, Outcome)>,
    /// Attempts before the deciding attempt, by number.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub earlier: BTreeMap<u32, Earlier>,
    /// All reported links, sorted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    /// Facts about the process as a queue task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<Box<TaskFacts>>,
    /// True if there were more fields or links than are kept.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_cut: bool,
}

/// Maximum number of updated fields, and of links. The first ones in their sort order are kept, which is
/// independent of the order of the events.
pub const MAX_FIELDS: usize = 1_000;
/// Reasons that an agent reports for a failed run whose command succeeded. They are defined by `monitor_tasks::EndReason`.
const JUDGED: [&str; 2] = ["expectation", "publishing"];
/// Maximum number of stored ends other than the end that counts.
const MAX_OTHER_ENDS: usize = 8;

/// Content of a start or a queueing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// Parent. `None` for a root.
    pub parent_id: Option<ProcessId>,
    /// Kind of the process.
    pub kind: Kind,
    /// Name of the process.
    pub name: String,
    /// Batch mark of a root.
    pub batch: Option<String>,
    /// Name of the thread.
    pub thread: Option<String>,
    /// Place in the source of the program.
    pub source: Option<Source>,
    /// How the parent was determined.
    pub attachment: Attachment,
    /// Fields at the start.
    pub fields: Fields,
    /// Time after which the process is overdue.
    pub timeout_ms: Option<u64>,
    /// Maximum number of attempts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts_of: Option<u32>,
}

/// Content of an end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// Duration, measured by a monotonic clock.
    pub elapsed_ns: Option<u64>,
    /// Outcome of the process.
    pub outcome: Outcome,
    /// Error, if the process failed.
    pub error: Option<Error>,
    /// Exit code of a command.
    pub exit_code: Option<i32>,
    /// Signal that ended a command.
    pub signal: Option<i32>,
    /// Reason for the outcome, in one word.
    pub reason: Option<String>,
    /// The next attempt, if one is planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
}

/// The data that all events about processes have in common.
#[derive(Debug, Clone, Copy)]
pub struct ProcessEvent<'a> {
    /// Id of the tree.
    pub root_id: RootId,
    /// Id of the process.
    pub id: ProcessId,
    /// Time of the event.
    pub time_us: u64,
    /// Number of the attempt.
    pub attempt: u32,
    /// Worker that the event is about, if another worker relays the event.
    pub worker: Option<&'a WorkerRef>,
    native_id: Option<&'a str>,
    links: &'a [Link],
    event: &'a Event,
}

impl<'a> ProcessEvent<'a> {
    /// Returns the common data of an event about a process. `None` for other events.
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

    /// Returns the native id of the process, if the event contains one.
    pub fn native_id(&self) -> Option<&'a str> {
        self.native_id
    }

    /// Returns true if the event affects the state of the process. Log lines and notifications don't.
    pub fn is_fact(&self) -> bool {
        !matches!(self.event, Event::ProcessLogged(_) | Event::ProcessNotified(_))
    }
}

impl ProcessFacts {
    /// Applies an event about this process. The number is that of the batch's worker.
    pub fn apply(&mut self, number: u64, batch_worker: WorkerId, event: &ProcessEvent<'_>) {
        if !event.is_fact() {
            return;
        }
        let stamp = Stamp { time_us: event.time_us, worker: batch_worker, number };
        let worker = event.worker.map_or(batch_worker, |worker| worker.id);
        let told = Told { attempt: event.attempt, stamp, worker, what: () };
        // An event that announces a retry also reports the next attempt.
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

    /// Merges facts of the same process, as if their events had been applied here.
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

    /// Keeps the end that counts, and stores the other end.
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

    /// Returns the number of ends of the deciding attempt whose outcome differs from the end that counts. If an agent has judged a run with
    /// a successful command as failed, the command's own end is not a contradiction.
    pub fn contradictions(&self) -> u64 {
        let Some(ended) = self.now(self.ended.as_ref()) else { return 0 };
        if ended.what.reason.as_deref().is_some_and(|reason| JUDGED.contains(&reason)) {
            return 0;
        }
        let is_contrary = |(attempt, _, outcome): &&(u32, Stamp, Outcome)| *attempt == ended.attempt && *outcome != ended.what.outcome;
        self.other_ends.iter().filter(is_contrary).count() as u64
    }

    /// Returns the timeout set by the start of the process.
    pub fn timeout_ms(&self) -> Option<u64> {
        self.now(self.started.as_ref())?.what.timeout_ms
    }

    fn keep_field(&mut self, key: String, stamp: Stamp, value: serde_json::Value) {
        match self.fields.get(&key) {
            Some((latest, _)) if *latest >= stamp => {}
            _ => {
                self.fields.insert(key, (stamp, value));
                if self.fields.len() > MAX_FIELDS {
                    // A field that is removed here can never belong to the kept fields, because later fields only add to those before it.
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

    /// Returns the start and the end for statistics, if both are known and no other attempt was planned.
    pub fn finished(&self) -> Option<(Told<()>, &Told<End>)> {
        let ended = self.now(self.ended.as_ref()).filter(|told| told.what.retry.is_none());
        self.start().zip(ended)
    }

    /// Returns the first start of the deciding attempt, reported by any kind of event.
    pub(crate) fn start(&self) -> Option<Told<()>> {
        let started = self.now(self.started.as_ref()).map(|told| told.map(()));
        let of_task = self.task.as_ref().and_then(|task| self.now(task.started.as_ref())).map(|told| told.map(()));
        started.into_iter().chain(of_task).min_by_key(|told| told.stamp)
    }

    /// Returns the worker that last started the deciding attempt.
    pub(crate) fn starter(&self) -> Option<WorkerId> {
        let of_task = self.task.as_ref().and_then(|task| self.now(task.running.as_ref())).map(|told| told.worker);
        of_task.or_else(|| self.now(self.started.as_ref()).map(|told| told.worker))
    }

    /// Returns the first event that reports the deciding attempt as waiting.
    pub(crate) fn waiting(&self) -> Option<Stamp> {
        let queued = self.now(self.queued.as_ref()).map(|told| told.stamp);
        let of_task = self.task.as_ref().and_then(|task| self.now(task.waiting.as_ref())).map(|told| told.stamp);
        queued.into_iter().chain(of_task).min()
    }

    /// Returns the error of the deciding attempt.
    pub fn error(&self) -> Option<&Error> {
        self.now(self.ended.as_ref())?.what.error.as_ref()
    }

    /// Returns the workers that determine the state of this process: its runner, and the workers with running processes in its counts.
    pub fn open_at(&self) -> Vec<WorkerId> {
        let counting = self.shards.iter().filter(|shard| shard.counts.running > 0).map(|shard| shard.worker);
        let mut workers: Vec<_> = self.runner().into_iter().chain(counting).collect();
        workers.sort_unstable();
        workers.dedup();
        workers
    }

    /// Returns the worker that runs the process now.
    pub(crate) fn runner(&self) -> Option<WorkerId> {
        if let Some(ended) = self.now(self.ended.as_ref()) {
            // The worker that will begin the next attempt.
            return ended.what.retry.map(|_| ended.worker);
        }
        if self.is_requeued() {
            return None;
        }
        // A waiting process has no runner, even if other events were reported about it.
        let is_waiting = self.waiting().is_some();
        self.starter().or_else(|| self.now(self.sign.as_ref()).filter(|_| !is_waiting && self.shards.is_empty()).map(|told| told.worker))
    }

    /// Returns the fact if it belongs to the deciding attempt.
    pub(crate) fn now<'a, T>(&self, told: Option<&'a Told<T>>) -> Option<&'a Told<T>> {
        told.filter(|told| told.attempt == self.attempt)
    }

    /// Returns the best approximation of the start: the start of the first known attempt, or else the time of the
    /// queueing, of the end, or of another event.
    pub fn at_us(&self) -> u64 {
        self.first_start_us()
            .or_else(|| self.start().map(|told| told.stamp.time_us))
            .or_else(|| self.waiting().map(|stamp| stamp.time_us))
            .or_else(|| self.now(self.ended.as_ref()).map(|told| told.stamp.time_us))
            .or_else(|| self.sign.as_ref().map(|told| told.stamp.time_us))
            .or_else(|| self.shards.iter().map(|shard| shard.stamp.time_us).min())
            .unwrap_or(0)
    }

    /// Returns true if an event has reported the kind, name and parent of the process.
    pub fn is_defined(&self) -> bool {
        self.definition().is_some() || !self.shards.is_empty()
    }

    /// Returns the definition of the process, by the start or queueing of the highest attempt that has one,
    /// or else by the messages of a queue.
    pub(crate) fn definition(&self) -> Option<Cow<'_, Definition>> {
        let started = self.started.as_ref().map(|told| (told.attempt, true, &told.what));
        let queued = self.queued.as_ref().map(|told| (told.attempt, false, &told.what));
        let told = started.into_iter().chain(queued).max_by_key(|(attempt, is_start, _)| (*attempt, *is_start));
        told.map(|(_, _, what)| Cow::Borrowed(what)).or_else(|| self.task.as_ref()?.definition().map(Cow::Owned))
    }

    /// Returns the status of the worker that runs the process.
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
