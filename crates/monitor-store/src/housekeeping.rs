//! Housekeeping: dropping trees that the retention rules no longer keep, deleting other old data, and backups.

use std::io::Read;
use std::time::Duration;

use super::{Changes, StoreError};
use crate::retention::Retention;

/// Housekeeping. Every method blocks.
///
/// # Errors
/// Every method returns an error if the store fails.
#[allow(clippy::missing_errors_doc, reason = "said once for all above")]
pub trait Housekeeping: Send + Sync + 'static {
    /// Does the next step of a chore, within `budget`. The caller repeats this until [`Tidied::more`] is `None`. The next call after that,
    /// or after an error, starts the chore again. Different callers may run the two chores at the same time; each chore has one caller.
    fn tidy(&self, chore: Chore, rules: &Rules<'_>, budget: Budget) -> Result<Tidied, StoreError>;

    /// Returns a copy of the whole store as it is at one moment.
    fn backup(&self) -> Result<Backup, StoreError>;
}

/// A periodic job of housekeeping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chore {
    /// Drops the trees that the rules no longer keep, and deletes the remaining rows of dropped trees.
    Trees,
    /// Deletes old data outside trees and data that is no longer referenced, and returns free space to the disk.
    Rest,
}

/// Retention rules and the current times, in Unix microseconds.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// Retention rules.
    pub retention: &'a Retention,
    /// Current time for computing ages.
    pub aged_us: u64,
    /// Time of the server's clock.
    pub now_us: u64,
}

/// Retention of workers that have ended, if no rule limits the age of trees.
const REMEMBERED: Duration = Duration::from_secs(30 * 86_400);
/// Minimum retention of workers that have ended. A worker that could not reach the server may send batches again; they would be counted
/// twice if the store had forgotten the worker.
const REMEMBERED_AT_LEAST: Duration = Duration::from_secs(86_400);

impl Rules<'_> {
    /// Returns the time before which a worker must have sent its last batch to be forgotten. Only workers that have ended and that nothing
    /// refers to are forgotten.
    pub fn forget_before_us(&self) -> u64 {
        let remembered = self.retention.longest().unwrap_or(REMEMBERED).max(REMEMBERED_AT_LEAST);
        self.aged_us.saturating_sub(remembered.as_micros() as u64)
    }
}

/// Limits on the work done in one housekeeping step.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Access to the store that the step has.
    pub turn: Turn,
    /// Approximate time that a step spends on deleting. It runs at least one transaction.
    pub time: Duration,
    /// Approximate number of trees dropped in one transaction.
    pub trees: usize,
}

/// Access to the store that a step has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// The step only reads. The writer may work at the same time.
    Look,
    /// The step may change the store. The caller makes sure that no other change runs at the same time.
    Change,
}

/// Result of a housekeeping step.
#[derive(Debug)]
pub struct Tidied {
    /// Changes made by the step.
    pub changes: Changes,
    /// Access that the next step needs. `None` if the chore is done.
    pub more: Option<Turn>,
    /// Number of dropped trees.
    pub dropped: usize,
    /// Number of processes that are still stored of trees dropped by the rules.
    pub left: u64,
}

/// A copy of a store.
pub struct Backup {
    /// Size of the copy in bytes.
    pub bytes: u64,
    /// Media type of the copy.
    pub media_type: &'static str,
    /// Reader of the copy's content.
    pub read: Box<dyn Read + Send>,
}
