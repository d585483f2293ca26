//! Read models derived from facts.

use std::borrow::Cow;

use monitor_wire::{Attachment, CUT_FIELDS, Fields, Kind, Process, ProcessId, RootId, State, WorkerId};

use crate::fold;
use crate::process::ProcessFacts;
use crate::worker::WorkerStatus;

/// Formats the title of a run: `name <batch:number>`, or `name <number>` without a batch.
pub fn title(name: &str, batch: Option<&str>, number: u64) -> String {
    match batch {
        Some(batch) => format!("{name} <{batch}:{number}>"),
        None => format!("{name} <{number}>"),
    }
}

impl ProcessFacts {
    /// Returns the current view of the process, without the values that depend on the tree (`orphan`, `depth`).
    pub fn view(&self, root_id: RootId, id: ProcessId, status: &mut dyn FnMut(WorkerId) -> WorkerStatus) -> Process {
        let start = self.start();
        let ended = self.now(self.ended.as_ref());
        let fold = fold::sum(&self.shards, status);
        let left = self.left_by(status);
        let definition = self.definition();
        let definition = definition.as_deref();
        let shard = self.shards.first();
        let state = self.state_of(left, fold.as_ref().map(|(fold, is_lost)| (fold, *is_lost)));
        // If a planned attempt can't begin any more, the end of the last attempt is the end of the process.
        let is_retried = ended.is_some_and(|told| told.what.retry.is_some());
        let is_given_up = is_retried && matches!(left, WorkerStatus::Offline { .. });
        let began_us = start.map(|told| told.stamp.time_us);
        let started_us = self.first_start_us().or(began_us);
        let ended_us = ended.map(|told| told.stamp.time_us).filter(|_| !is_retried || is_given_up).or(match left {
            WorkerStatus::Offline { time_us } => Some(time_us.max(began_us.unwrap_or(0))),
            WorkerStatus::Online | WorkerStatus::Lost => None,
        });
        let between = |started: u64, ended: u64| ended.saturating_sub(started).saturating_mul(1_000);
        let measured = ended.and_then(|told| told.what.elapsed_ns).filter(|_| self.first_start_us().is_none() && ended_us.is_some());
        let elapsed_ns = measured.or_else(|| started_us.zip(ended_us).map(|(s, e)| between(s, e)));
        let parent_id = self.parent_id.as_ref().map(|(_, parent)| *parent);
        let name = self.name.as_ref().map(|(_, name)| name);
        Process {
            id,
            root_id,
            parent_id: parent_id.or_else(|| definition.map_or_else(|| shard.and_then(|s| s.parent_id), |d| d.parent_id)),
            name: name.or(definition.map(|d| &d.name)).or(shard.map(|s| &s.name)).cloned().unwrap_or_default(),
            kind: definition.map(|d| &d.kind).or(shard.map(|s| &s.kind)).cloned().unwrap_or_else(|| Kind::from("")),
            attempts: self.attempts(&state),
            attempts_of: self.attempts_of(),
            next_attempt_us: self.next_attempt_us(&state),
            state,
            native_id: self.native_id.as_ref().map(|(_, native_id)| native_id.clone()),
            attempt: self.attempt.max(1),
            started_us,
            ended_us,
            elapsed_ns,
            worker_id: self.starter().or(ended.map(|told| told.worker)).or_else(|| self.runner()),
            thread: definition.and_then(|d| d.thread.clone()),
            source: definition.and_then(|d| d.source.clone()),
            error: match ended {
                Some(told) => told.what.error.clone(),
                None => fold.as_ref().and_then(|(fold, _)| fold::error(fold)),
            },
            reason: match left {
                WorkerStatus::Offline { .. } if !is_given_up => Some("exited".to_owned()),
                _ => ended.and_then(|told| told.what.reason.clone()),
            },
            exit_code: ended.and_then(|told| told.what.exit_code),
            signal: ended.and_then(|told| told.what.signal),
            attachment: definition.map_or(Attachment::EXPLICIT, |d| d.attachment.clone()),
            orphan: false,
            links: self.links.clone(),
            fields: self.all_fields(),
            progress: self.now(self.progress.as_ref()).map(|told| told.what.clone()),
            fold: fold.map(|(fold, _)| fold),
            depth: None,
            expected_ns: None,
            expected_p95_ns: None,
            overdue: false,
            contradictions: self.contradictions(),
            task: self.shown_task(),
        }
    }

    /// Returns the state of the process, given the status of its workers.
    pub fn state(&self, status: &mut dyn FnMut(WorkerId) -> WorkerStatus) -> State {
        let fold = fold::sum(&self.shards, status);
        let left = self.left_by(status);
        self.state_of(left, fold.as_ref().map(|(fold, is_lost)| (fold, *is_lost)))
    }

    /// Returns the counts if the process is a fold, regardless of the status of its workers, and the time of the last report.
    pub fn counted(&self) -> Option<(monitor_wire::Fold, u64)> {
        let told_us = self.shards.iter().map(|shard| shard.stamp.time_us).max()?;
        fold::sum(&self.shards, &mut |_| WorkerStatus::Online).map(|(fold, _)| (fold, told_us))
    }

    /// Returns the batch mark.
    pub fn batch(&self) -> Option<&str> {
        let updated = self.batch.as_ref().map(|(_, batch)| batch);
        let defined = || match self.definition()? {
            Cow::Borrowed(definition) => definition.batch.as_ref(),
            Cow::Owned(_) => self.task.as_ref()?.batch(),
        };
        updated.or_else(defined).map(String::as_str)
    }

    fn state_of(&self, left: WorkerStatus, fold: Option<(&monitor_wire::Fold, bool)>) -> State {
        if let Some(ended) = self.now(self.ended.as_ref()) {
            return match left {
                WorkerStatus::Online if ended.what.retry.is_some() => State::RETRYING,
                WorkerStatus::Lost => State::LOST,
                _ => State::from(ended.what.outcome.as_str()),
            };
        }
        let (is_started, is_waiting) = (self.start().is_some(), self.waiting().is_some());
        let is_told = is_started || is_waiting;
        match (left, fold) {
            (WorkerStatus::Lost, _) => State::LOST,
            (WorkerStatus::Offline { .. }, _) => State::CANCELLED,
            (WorkerStatus::Online, Some((fold, is_lost))) if !is_told => state_of_fold(fold, is_lost),
            _ if is_waiting && (!is_started || self.is_requeued()) => State::PENDING,
            _ => State::RUNNING,
        }
    }

    /// Returns all fields. Updates take precedence over the start's fields, and these over the queueing's.
    fn all_fields(&self) -> Fields {
        let mut fields = Fields::new();
        for told in [&self.queued, &self.started].into_iter().flatten() {
            fields.extend(told.what.fields.iter().map(|(key, value)| (key.clone(), value.clone())));
        }
        fields.extend(self.fields.iter().map(|(key, (_, value))| (key.clone(), value.clone())));
        if self.is_cut {
            fields.insert(CUT_FIELDS.to_owned(), true.into());
        }
        fields
    }
}

fn state_of_fold(fold: &monitor_wire::Fold, is_lost: bool) -> State {
    if is_lost {
        State::LOST
    } else if fold.running > 0 {
        State::RUNNING
    } else if fold.failed > 0 {
        State::FAILED
    } else if fold.cancelled > 0 && fold.cancelled == fold.count {
        State::CANCELLED
    } else {
        State::SUCCEEDED
    }
}
