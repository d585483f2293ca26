//! The attempts of a process before the one that decides.

use monitor_wire::{Attempt, Outcome, Process, State};
use serde::{Deserialize, Serialize};

use crate::process::{Definition, End, ProcessFacts};
use crate::told::{Told, keep_first};

/// So many of the first earlier attempts of a process are kept, and so many of the last ones.
pub const MAX_ATTEMPTS: usize = 50;

/// What is known of an attempt that is over: another one came.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Earlier {
    /// Its start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Told<()>>,
    /// Its end, without the last lines of a command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Told<End>>,
}

/// Which attempt a process is at, while it runs or waits for the next one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AttemptNow {
    /// Which one: none for the first one unless others may come.
    pub attempt: Option<u32>,
    /// How many there are to be at most.
    pub of: Option<u32>,
    /// When the next one is to begin.
    pub next_us: Option<u64>,
}

impl ProcessFacts {
    /// Remembers a start if a later attempt decides.
    pub(crate) fn remember_start<T>(&mut self, told: &Told<T>) {
        if told.attempt < self.attempt {
            keep_first(&mut self.earlier.entry(told.attempt).or_default().started, told.map(()));
            self.forget_some();
        }
    }

    /// Remembers an end if a later attempt decides.
    pub(crate) fn remember_end(&mut self, told: &Told<End>) {
        if told.attempt < self.attempt {
            let mut end = told.what.clone();
            end.error.iter_mut().for_each(|error| error.tail = None);
            keep_first(&mut self.earlier.entry(told.attempt).or_default().ended, told.map(end));
            self.forget_some();
        }
    }

    /// Remembers what was kept of the attempt that decided until now.
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

    /// The first and the last ones stay: whatever comes, it makes none of the others one of these.
    fn forget_some(&mut self) {
        while self.earlier.len() > 2 * MAX_ATTEMPTS {
            let middle = self.earlier.keys().nth(MAX_ATTEMPTS).copied().expect("there are more than that");
            self.earlier.remove(&middle);
        }
    }

    /// When the first attempt began of which that is known, if it isn't the one that decides.
    pub fn first_start_us(&self) -> Option<u64> {
        self.earlier.values().find_map(|earlier| earlier.started.as_ref()).map(|told| told.stamp.time_us)
    }

    /// When the attempt that decides began, as far as is known.
    pub fn attempt_at_us(&self) -> u64 {
        self.start().map_or_else(|| self.at_us(), |told| told.stamp.time_us)
    }

    /// Its attempts in this state, if there is more than one or another is to come. An attempt whose end is not known is lost if another one
    /// followed; the last one ended as the process did.
    pub(crate) fn attempts(&self, state: &State) -> Vec<Attempt> {
        let ended = self.now(self.ended.as_ref());
        let is_retried = ended.is_some_and(|told| told.what.retry.is_some());
        if self.earlier.is_empty() && !is_retried {
            return Vec::new();
        }
        let earlier = self.earlier.iter().map(|(attempt, told)| shown(*attempt, told.started.as_ref(), told.ended.as_ref(), &State::LOST));
        earlier.chain([shown(self.attempt, self.start().as_ref(), ended, state)]).collect()
    }

    /// How many attempts there are to be at most, by the attempt that decides, or else by the end of the last one that said it.
    pub(crate) fn attempts_of(&self) -> Option<u32> {
        let of = |told: &Told<End>| told.what.retry.as_ref()?.of;
        let at_start = || self.now(self.started.as_ref())?.what.attempts_of;
        let earlier = || self.earlier.values().rev().find_map(|earlier| of(earlier.ended.as_ref()?));
        self.now(self.ended.as_ref()).and_then(of).or_else(at_start).or_else(earlier)
    }

    /// When the next attempt is to begin, if one is waited for.
    pub(crate) fn next_attempt_us(&self, state: &State) -> Option<u64> {
        let retry = self.now(self.ended.as_ref())?.what.retry?;
        retry.next_us.filter(|_| *state == State::RETRYING)
    }
}

impl ProcessFacts {
    /// Which attempt it is at, if it is in this state.
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

    /// Which attempt a process is at, as it is shown.
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
