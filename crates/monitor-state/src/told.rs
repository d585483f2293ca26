//! Who said what when, and which of two that say different things is believed.

use monitor_wire::WorkerId;
use serde::{Deserialize, Serialize};

/// Tells events apart and orders them: by time, then by who counted them, then by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// When it happened, in Unix microseconds.
    pub time_us: u64,
    /// Whose number it is: the batch's worker.
    pub worker: WorkerId,
    /// The event's number.
    pub number: u64,
}

/// Something that an event said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Told<T> {
    /// Of which attempt.
    pub attempt: u32,
    /// By which event.
    pub stamp: Stamp,
    /// Whom the event is about: its own worker, or else the batch's.
    pub worker: WorkerId,
    /// What.
    pub what: T,
}

impl<T> Told<T> {
    /// The same event's word on something else.
    pub(crate) fn map<U>(&self, what: U) -> Told<U> {
        Told { attempt: self.attempt, stamp: self.stamp, worker: self.worker, what }
    }
}

/// Keeps the highest attempt's; within it the smallest.
pub(crate) fn keep_first<T>(kept: &mut Option<Told<T>>, told: Told<T>) {
    let is_better = kept.as_ref().is_none_or(|kept| (told.attempt, kept.stamp) > (kept.attempt, told.stamp));
    if is_better {
        *kept = Some(told);
    }
}

/// Keeps the highest attempt's; within it the greatest.
pub(crate) fn keep_last<T>(kept: &mut Option<Told<T>>, told: Told<T>) {
    let is_better = kept.as_ref().is_none_or(|kept| (told.attempt, told.stamp) > (kept.attempt, kept.stamp));
    if is_better {
        *kept = Some(told);
    }
}
