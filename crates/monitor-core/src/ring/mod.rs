//! Records a call at the cost of reading the clock twice: in memory that belongs to one thread and that the drainer reads concurrently.
//!
//! The monitored side is [`writer`] and, for calls that are counted instead, [`fold`]. The draining side
//! is [`drain`]. Both share [`layout`].

mod absorbed;
mod briefs;
mod counting;
mod counts;
mod current;
mod drain;
mod fold;
mod folds;
mod host;
pub mod image;
mod layout;
mod line;
mod new_texts;
mod registry;
mod room;
mod slots;
mod writer;

#[cfg(all(test, loom))]
mod model;

/// The atomics of [`line`]. Its model uses those of loom.
mod atomic {
    pub(super) use std::sync::atomic::{AtomicU64, Ordering};
}

pub(crate) use current::{
    Lent, any_current, depth, is_top, last_id, lend, pop_context, push, push_slot, quiet, set_overflowing, set_own, set_quiet, take_unread,
    top,
};
pub(crate) use drain::{Look, Looked, RingItem, Rings, Seen};
pub(crate) use folds::Counted;
pub(crate) use host::{Host, keep_site};
#[cfg(unix)]
pub(crate) use registry::{after_fork, before_fork, forget};
pub(crate) use registry::{attach, lacks_room, refused, set_up};
pub(crate) use writer::{Begun, Call, Ending, Slot, TakenOut, close, end_open, new_id, open, open_at, start, start_at};

use crate::record::{Attachment, Site};
use crate::site;

/// The facts of a record besides ids and times: number of the site (31 bits), whether it may be brief (1), how it ended (2), how its parent
/// was determined (2), whether it is counted in a fold (1), whether there are folds below it that may move with it (1), number of the
/// thread on which it began (26).
#[derive(Debug, Clone, Copy)]
struct Facts(u64);

impl Facts {
    /// The call may be counted with others if it turns out to be [`brief`](crate::brief): its ids were not read, and everything below it
    /// that gets a row is reported by its own thread before its end.
    const MAY_BE_BRIEF: u64 = 1 << 31;
    const ENDING: u32 = 32;
    const ATTACHMENT: u32 = 34;
    const FOLDED: u64 = 1 << 36;
    /// There are folds below it. If it is counted itself, they are reported below the next row above it.
    const HAS_FOLDS: u64 = 1 << 37;
    const THREAD: u32 = 38;
    /// The highest thread number. After it, numbering starts again.
    const MOST_THREADS: u64 = (1 << 26) - 1;

    /// Creates the facts of a start. `site` has no more bits than [`site::NUMBERS`].
    #[inline]
    fn new(site: usize, attachment: Attachment, thread: u64) -> Self {
        Facts(site as u64 | (attachment as u64) << Self::ATTACHMENT | thread << Self::THREAD)
    }

    /// Returns the bits that an end adds.
    #[inline]
    fn of(ending: Ending) -> u64 {
        (ending as u64) << Self::ENDING
    }

    #[inline]
    fn ended(self, ending: Ending) -> Self {
        Facts(self.0 | Self::of(ending))
    }

    #[inline]
    fn folded(self) -> Self {
        Facts(self.0 | Self::FOLDED)
    }

    fn unfolded(self) -> Self {
        Facts(self.0 & !Self::FOLDED)
    }

    fn may_be_brief(self) -> bool {
        self.0 & Self::MAY_BE_BRIEF != 0
    }

    /// Returns the facts of a call that has a row of its own.
    fn not_brief(self) -> Self {
        Facts(self.0 & !Self::MAY_BE_BRIEF)
    }

    fn with_folds(self) -> Self {
        Facts(self.0 | Self::HAS_FOLDS)
    }

    fn has_folds(self) -> bool {
        self.0 & Self::HAS_FOLDS != 0
    }

    fn is_folded(self) -> bool {
        self.0 & Self::FOLDED != 0
    }

    fn site_number(self) -> usize {
        self.0 as usize & site::NUMBERS
    }

    fn site(self) -> Option<&'static Site> {
        site::of(self.site_number())
    }

    fn ending(self) -> Ending {
        match self.0 >> Self::ENDING & 3 {
            0 => Ending::Succeeded,
            1 => Ending::Cancelled,
            2 => Ending::Error,
            _ => Ending::Panic,
        }
    }

    fn attachment(self) -> Attachment {
        match self.0 >> Self::ATTACHMENT & 3 {
            0 => Attachment::Explicit,
            1 => Attachment::Inferred,
            _ => Attachment::Unattached,
        }
    }

    fn thread(self) -> u64 {
        self.0 >> Self::THREAD
    }
}
