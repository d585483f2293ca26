//! Recording a call for two readings of the clock: memory of each thread's own, which the one who drains reads along.
//!
//! The monitored side is [`writer`] and, for what is counted instead, [`fold`]; the draining side is [`drain`]; [`layout`] is
//! what they share.

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

/// The atomics of [`line`]; its model has loom's.
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

/// What a record says beside ids and times: number of the site (31 bits), whether it may be brief (1), how it ended (2), how it came by its parent (2),
/// whether it is counted in a fold (1), whether there are folds below it that may move with it (1), number of the thread that it began on
/// (26).
#[derive(Debug, Clone, Copy)]
struct Facts(u64);

impl Facts {
    /// It may be counted with others if it turns out to be [`brief`](crate::brief): nobody knows its ids, and nothing that will be
    /// told singly, but by its own thread and before its end, hangs below it.
    const MAY_BE_BRIEF: u64 = 1 << 31;
    const ENDING: u32 = 32;
    const ATTACHMENT: u32 = 34;
    const FOLDED: u64 = 1 << 36;
    /// There are folds below it. They are told below the next row above it if it is counted itself.
    const HAS_FOLDS: u64 = 1 << 37;
    const THREAD: u32 = 38;
    /// Beyond, threads are numbered anew.
    const MOST_THREADS: u64 = (1 << 26) - 1;

    /// `site` has no more bits than [`site::NUMBERS`].
    #[inline]
    fn new(site: usize, attachment: Attachment, thread: u64) -> Self {
        Facts(site as u64 | (attachment as u64) << Self::ATTACHMENT | thread << Self::THREAD)
    }

    /// What it adds that something has ended.
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

    /// It has a row of its own.
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
