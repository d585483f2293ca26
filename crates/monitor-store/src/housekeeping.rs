//! What keeps house: trees that the rules no longer keep go, and so does what is too old beside them.

use std::io::Read;
use std::time::Duration;

use super::{Changes, StoreError};
use crate::retention::Retention;

/// Keeps house. Every method blocks.
///
/// # Errors
/// Every method fails if the store does.
#[allow(clippy::missing_errors_doc, reason = "said once for all above")]
pub trait Housekeeping: Send + Sync + 'static {
    /// Does the next step of a chore, within `budget`. Steps are asked for until there is no more; the next one after that, or after an
    /// error, begins the chore anew. Both chores may be asked for at the same time, each by one caller.
    fn tidy(&self, chore: Chore, rules: &Rules<'_>, budget: Budget) -> Result<Tidied, StoreError>;

    /// A copy of all that is stored, as it is at one moment.
    fn backup(&self) -> Result<Backup, StoreError>;
}

/// Something that is done again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chore {
    /// Trees that the rules no longer keep are dropped, and what is left of dropped trees is deleted.
    Trees,
    /// What is too old beside trees is deleted, and what nothing refers to any more; free space is given back.
    Rest,
}

/// What is to be kept, and as of when. Times are Unix microseconds.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// The rules.
    pub retention: &'a Retention,
    /// The time that ages are counted by.
    pub aged_us: u64,
    /// The server's clock.
    pub now_us: u64,
}

/// Without a rule for the age of trees, a worker that is gone is known for so long.
const REMEMBERED: Duration = Duration::from_secs(30 * 86_400);
/// However young trees go, it is known for so long: what it sends once more, after the server was away, must not count twice.
const REMEMBERED_AT_LEAST: Duration = Duration::from_secs(86_400);

impl Rules<'_> {
    /// Workers that are gone and that nothing refers to are forgotten if they were last heard of before this time.
    pub fn forget_before_us(&self) -> u64 {
        let remembered = self.retention.longest().unwrap_or(REMEMBERED).max(REMEMBERED_AT_LEAST);
        self.aged_us.saturating_sub(remembered.as_micros() as u64)
    }
}

/// How much a step may do.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Whose turn it is.
    pub turn: Turn,
    /// Deleting goes on for about so long; one transaction at least.
    pub time: Duration,
    /// About so many trees are dropped in a transaction.
    pub trees: usize,
}

/// What a step may do while others use the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It looks, beside the writer, and changes nothing.
    Look,
    /// It changes something, and nobody else does meanwhile.
    Change,
}

/// What a step did.
#[derive(Debug)]
pub struct Tidied {
    /// What it changed.
    pub changes: Changes,
    /// What the next step needs; none if the chore is done.
    pub more: Option<Turn>,
    /// How many trees were dropped.
    pub dropped: usize,
    /// How many processes there still are of trees that the rules have dropped.
    pub left: u64,
}

/// A copy of a store.
pub struct Backup {
    /// How many bytes it has.
    pub bytes: u64,
    /// What it is.
    pub media_type: &'static str,
    /// All of it.
    pub read: Box<dyn Read + Send>,
}
