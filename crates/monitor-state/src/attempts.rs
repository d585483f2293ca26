//! The attempts of a process before the deciding attempt.

use monitor_wire::{Attempt, Outcome, Process, State};
use serde::{Deserialize, Serialize};

use crate::process::{Definition, End, ProcessFacts};
use crate::told::{Told, keep_first};

/// Maximum number of the first earlier attempts of a process that are kept. Up to the same number of the last ones is kept.
pub const MAX_ATTEMPTS: usize = 50;

/// Facts about an attempt that was followed by another attempt.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Earlier {
    /// Start of the attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Told<()>>,
    /// End of the attempt, without the last output lines of a command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Told<End>>,
}

/// The attempt of a process that is running or waits for its next attempt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AttemptNow {
    /// Number of the attempt. `None` for the first attempt, unless more attempts are possible.
    pub attempt: Option<u32>,
    /// Maximum number of attempts.
    pub of: Option<u32>,
    /// Planned start of the next attempt.
    pub next_us: Option<u64>,
}

impl ProcessFacts {
    /// Stores a start if a later attempt decides.
    pub(crate) fn remember_start<T>(&mut self, told: &Told<T>) {
        if told.attempt < self.attempt {
            keep_first(&mut self.earlier.entry(told.attempt).or_default().started, told.map(()));
            self.forget_some();
        }
    }

    /// Stores an end if a later attempt decides.
    pub(crate) fn remember_end(&mut self, told: &Told<End>) {
        if told.attempt < self.attempt {
            let mut end = told.what.clone();
            end.error.iter_mut().for_each(|error| error.tail = None);
            keep_first(&mut self.earlier.entry(told.attempt).or_default().ended, told.map(end));
            self.forget_some();
        }
    }

    /// Stores the start and the end of the attempt that decided until now as those of an earlier attempt.
    pub(crate) fn remember_kept(&mut self) {
        let (started, ended): (Option<Told<Definition>>, _) = (self.started.clone(), self.ended.clone());
        if let Some(told) = &started {
            self.remember_start(told);
        }
        if let Some(told) = &ended {
            self.remember_end(told);
        }
        if let Some(told) = self.task.as_ref().and_then(|task| task.started.as_ref()).map(|told| told.map(())) {
            self.remember_start(&told);
        }
    }

    /// Keeps the first and the last [`MAX_ATTEMPTS`] attempts and removes those between them. An attempt that is removed here would also be
    /// removed if more attempts were known, so the result does not depend on the order of the events.
    fn forget_some(&mut self) {
        while self.earlier.len() > 2 * MAX_ATTEMPTS {
            let middle = self.earlier.keys().nth(MAX_ATTEMPTS).copied().expect("there are more than that");
            self.earlier.remove(&middle);
        }
    }

    /// Returns the start time of the earliest attempt with a known start, if it is not the deciding attempt.
    pub fn first_start_us(&self) -> Option<u64> {
        self.earlier.values().find_map(|earlier| earlier.started.as_ref()).map(|told| told.stamp.time_us)
    }

    /// Returns the start time of the deciding attempt, or the best approximation of it.
    pub fn attempt_at_us(&self) -> u64 {
        self.start().map_or_else(|| self.at_us(), |told| told.stamp.time_us)
    }

    /// Returns the attempts of a process in this state, if there is more than one or another one is planned. An attempt without a known end
    /// that was followed by another attempt counts as lost. The last attempt has the state of the process.
    pub(crate) fn attempts(&self, state: &State) -> Vec<Attempt> {
        let ended = self.now(self.ended.as_ref());
        let is_retried = ended.is_some_and(|told| told.what.retry.is_some());
        if self.earlier.is_empty() && !is_retried {
            return Vec::new();
        }
        let earlier = self.earlier.iter().map(|(attempt, told)| shown(*attempt, told.started.as_ref(), told.ended.as_ref(), &State::LOST));
        earlier.chain([shown(self.attempt, self.start().as_ref(), ended, state)]).collect()
    }

    /// Returns the maximum number of attempts, as specified by the deciding attempt, or else by the last earlier end that specifies it.
    pub(crate) fn attempts_of(&self) -> Option<u32> {
        let of = |told: &Told<End>| told.what.retry.as_ref()?.of;
        let at_start = || self.now(self.started.as_ref())?.what.attempts_of;
        let earlier = || self.earlier.values().rev().find_map(|earlier| of(earlier.ended.as_ref()?));
        self.now(self.ended.as_ref()).and_then(of).or_else(at_start).or_else(earlier)
    }

    /// Returns the planned start of the next attempt, if the process waits for it.
    pub(crate) fn next_attempt_us(&self, state: &State) -> Option<u64> {
        let retry = self.now(self.ended.as_ref())?.what.retry?;
        retry.next_us.filter(|_| *state == State::RETRYING)
    }
}

impl ProcessFacts {
    /// Returns the attempt of the process, given its state.
    pub fn attempt_now(&self, state: &State) -> AttemptNow {
        let of = self.attempts_of();
        if !AttemptNow::is_told(state, self.attempt, of) {
            return AttemptNow::default();
        }
        AttemptNow { attempt: Some(self.attempt), of, next_us: self.next_attempt_us(state) }
    }
}

impl AttemptNow {
    fn is_told(state: &State, attempt: u32, of: Option<u32>) -> bool {
        *state == State::RETRYING || (*state == State::RUNNING && (attempt > 1 || of > Some(1)))
    }

    /// Returns the attempt of a process, as displayed.
    pub fn of(process: &Process) -> Self {
        if !Self::is_told(&process.state, process.attempt, process.attempts_of) {
            return Self::default();
        }
        Self { attempt: Some(process.attempt), of: process.attempts_of, next_us: process.next_attempt_us }
    }
}

fn shown<T>(attempt: u32, started: Option<&Told<T>>, ended: Option<&Told<End>>, state: &State) -> Attempt {
    let started_us = started.map(|told| told.stamp.time_us);
    let ended_us = ended.map(|told| told.stamp.time_us);
    let between = || Some(1_000_u64.saturating_mul(ended_us?.saturating_sub(started_us?)));
    let outcome = (![State::RUNNING, State::PENDING, State::RETRYING].contains(state)).then(|| Outcome::from(state.as_str()));
    let mut error = ended.and_then(|told| told.what.error.clone());
    if let Some(error) = &mut error {
        error.tail = None;
    }
    Attempt {
        attempt,
        worker_id: started.map(|told| told.worker).or(ended.map(|told| told.worker)),
        outcome: ended.map(|told| told.what.outcome.clone()).or(outcome),
        started_us,
        ended_us,
        elapsed_ns: ended.and_then(|told| told.what.elapsed_ns).or_else(between),
        error,
        reason: ended.and_then(|told| told.what.reason.clone()),
        exit_code: ended.and_then(|told| told.what.exit_code),
        signal: ended.and_then(|told| told.what.signal),
    }
}
