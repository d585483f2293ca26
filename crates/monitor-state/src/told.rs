//! Facts with their origin, and the rules that choose between conflicting facts.

use monitor_wire::WorkerId;
use serde::{Deserialize, Serialize};

/// Identifies and orders events: by time, then by the worker that numbered them, then by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// Time of the event, in Unix microseconds.
    pub time_us: u64,
    /// Worker that numbered the event: the batch's worker.
    pub worker: WorkerId,
    /// Number of the event.
    pub number: u64,
}

/// A fact reported by an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Told<T> {
    /// Attempt that the fact belongs to.
    pub attempt: u32,
    /// Stamp of the event.
    pub stamp: Stamp,
    /// Worker that the event is about: the event's own worker, or else the batch's.
    pub worker: WorkerId,
    /// The fact.
    pub what: T,
}

impl<T> Told<T> {
    /// Returns another fact of the same event.
    pub fn map<U>(&self, what: U) -> Told<U> {
        Told { attempt: self.attempt, stamp: self.stamp, worker: self.worker, what }
    }
}

/// Keeps the fact of the highest attempt, and within an attempt the fact with the smallest stamp.
pub(crate) fn keep_first<T>(kept: &mut Option<Told<T>>, told: Told<T>) {
    let is_better = kept.as_ref().is_none_or(|kept| (told.attempt, kept.stamp) > (kept.attempt, told.stamp));
    if is_better {
        *kept = Some(told);
    }
}

/// Keeps the fact of the highest attempt, and within an attempt the fact with the greatest stamp.
pub(crate) fn keep_last<T>(kept: &mut Option<Told<T>>, told: Told<T>) {
    let is_better = kept.as_ref().is_none_or(|kept| (told.attempt, told.stamp) > (kept.attempt, kept.stamp));
    if is_better {
        *kept = Some(told);
    }
}
