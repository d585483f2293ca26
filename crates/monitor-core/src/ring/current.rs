//! What is current on a thread, by its frames: a stack of calls, of futures that are polled, and of contexts that are only made current.

use std::num::NonZeroU64;

use super::layout::{DEPTH, Frame, Mark, Region};
use super::writer::{self, Slot, context_of};
use super::{fold, registry};
use crate::context::Context;
use crate::switch;

/// Makes a context current: the number of its frame, or `None` if it is to be kept elsewhere.
#[inline]
pub(crate) fn push(context: Context) -> Option<usize> {
    push_as(|frame| {
        let id = context.process();
        frame.line.set_ids(id, [(context.root() >> 64) as u64, context.root() as u64]);
        frame.below.set(id);
        frame.set_fold(None);
        // Of no recording of ours, as far as is known here.
        frame.set_marks(0, false);
        frame
    })
}

/// Makes a future current, in the same way.
#[inline]
pub(crate) fn push_slot(slot: &Slot) -> Option<usize> {
    push_as(|_| slot.0)
}

#[inline]
fn push_as(current: impl FnOnce(&'static Frame) -> &'static Frame) -> Option<usize> {
    let region = registry::region()?;
    let depth = region.writer.depth.get();
    if depth >= region.writer.ceiling.get() {
        return None;
    }
    region.set_current(depth as usize, current(region.frames.get(depth as usize)?));
    region.writer.depth.publish(depth + 1);
    Some(depth as usize)
}

/// Takes a frame out, wherever it is by now: guards may be dropped in any order.
#[inline]
pub(crate) fn pop_context(frame: usize) {
    if let Some(region) = registry::region() {
        pop(region, frame);
    }
}

/// What is current by this thread's frames.
pub(crate) fn top() -> Option<Context> {
    let region = registry::region()?;
    let frame = region.current((region.writer.depth.get() as usize).checked_sub(1)?)?;
    fold::pin(region, frame);
    writer::known(frame);
    if frame.line.is_clear() {
        // Another thread may have lent it, and is to see that it was used.
        writer::id_after(&region.writer);
    }
    context_of(frame)
}

/// Returns true if this is current by this thread's frames.
pub(crate) fn is_top(context: Context) -> bool {
    let top = || {
        let region = registry::region()?;
        context_of(region.current((region.writer.depth.get() as usize).checked_sub(1)?)?)
    };
    top() == Some(context)
}

/// Returns true if this is so of anything that is current by this thread's frames.
pub(crate) fn any_current(is_so: &mut impl FnMut(Context) -> bool) -> bool {
    let Some(region) = registry::region() else { return false };
    let depth = region.writer.depth.get() as usize;
    (0..depth).any(|at| region.current(at).and_then(context_of).is_some_and(&mut *is_so))
}

/// The last id that this thread has given, if it has a ring of its own.
pub(crate) fn last_id() -> Option<u64> {
    registry::region().filter(|_| registry::is_own()).map(|region| region.writer.last_id.get())
}

/// A call that is lent, as the parent of what others begin, to closures that may run on other threads and end before it does.
///
/// It may still be counted as a brief one at its end. So other threads only note in its frame that something hangs below it, and its
/// own thread, which they have joined by then, sees to it that it has a row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lent {
    frame: &'static Frame,
    id: u64,
}

/// Lends what is current by this thread's frames, if that is a call.
pub(crate) fn lend() -> Option<(Context, Lent)> {
    let region = registry::region().filter(|_| registry::is_own())?;
    let depth = (region.writer.depth.get() as usize).checked_sub(1)?;
    // What has a slot may end on another thread, and what is clear is only made current.
    let frame = region.current(depth).filter(|frame| std::ptr::eq(*frame, &raw const region.frames[depth]))?;
    if frame.line.is_clear() || !writer::is_recorded(frame) {
        return None;
    }
    fold::leave(Some(region), frame);
    writer::known(frame);
    Some((context_of(frame)?, Lent { frame, id: frame.line.id() }))
}

impl Lent {
    /// Returns true while the call runs.
    pub(crate) fn is_open(self) -> bool {
        !self.frame.line.is_clear() && self.frame.line.id() == self.id
    }

    /// Notes that something on another thread hangs below the call.
    pub(crate) fn has_children(self) {
        self.frame.leftover.set(self.id);
    }

    /// To be called by the call's own thread, after all closures have ended.
    #[inline]
    pub(crate) fn take_back(self) {
        if self.frame.leftover.get() == self.id && self.is_open() {
            fold::keep(self.frame);
        }
    }
}

/// What was just pushed is a process of this program that came by the queue, and nobody knows its ids.
pub(crate) fn set_own(frame: usize) {
    if let Some(frame) = registry::region().and_then(|region| region.frames.get(frame)) {
        frame.leftover.set(frame.line.id());
        frame.set_marks(switch::recording(), false);
        frame.mark(Mark::Queued);
    }
}

/// What was just pushed is the parent of a process that has no row, which keeps what it says of itself by this key.
pub(crate) fn set_quiet(frame: usize, key: NonZeroU64) {
    if let Some(frame) = registry::region().and_then(|region| region.frames.get(frame)) {
        frame.leftover.set(key.get());
        frame.mark(Mark::Quiet);
    }
}

/// The key that [`set_quiet`] was given, if what is current was pushed by that.
pub(crate) fn quiet() -> Option<NonZeroU64> {
    let region = registry::region()?;
    let depth = (region.writer.depth.get() as usize).checked_sub(1)?;
    let frame = region.current(depth).filter(|frame| std::ptr::eq(*frame, &raw const region.frames[depth]) && frame.is(Mark::Quiet))?;
    NonZeroU64::new(frame.leftover.get())
}

/// How much is current by this thread's frames.
pub(crate) fn depth() -> usize {
    registry::region().map_or(0, |region| region.writer.depth.get() as usize)
}

/// Whether this is so of what is current; from here on it is not.
pub(crate) fn take_unread() -> bool {
    let top = registry::region().and_then(|region| {
        let depth = (region.writer.depth.get() as usize).checked_sub(1)?;
        // What is current may be a future, which has a slot: then what the frame says is of something that was there before.
        region.current(depth).filter(|current| std::ptr::eq(*current, &raw const region.frames[depth]))
    });
    top.is_some_and(|frame| {
        let is_unread = frame.line.id() != 0 && frame.leftover.get() == frame.line.id();
        if is_unread {
            frame.leftover.set(0);
        }
        is_unread
    })
}

/// While newer contexts are kept elsewhere, nothing may come above the frames.
pub(crate) fn set_overflowing(is_overflowing: bool) {
    if let Some(region) = registry::region().filter(|_| registry::is_own()) {
        region.writer.ceiling.set(if is_overflowing { 0 } else { DEPTH as u64 });
    }
}

#[inline]
pub(super) fn pop(region: &Region, frame: usize) {
    let depth = region.writer.depth.get() as usize;
    if frame + 1 == depth && region.writer.gone.get() == 0 {
        region.writer.depth.publish(frame as u64);
    } else {
        pop_slowly(region, frame, depth);
    }
}

#[cold]
#[inline(never)]
fn pop_slowly(region: &Region, frame: usize, depth: usize) {
    let gone = &region.writer.gone;
    if frame + 1 == depth {
        let mut depth = frame;
        while let Some(below) = region.frames[..depth].last().filter(|below| below.is(Mark::Gone)) {
            below.unmark(Mark::Gone);
            gone.set(gone.get() - 1);
            depth -= 1;
        }
        region.writer.depth.publish(depth as u64);
    } else if let Some(frame) = region.frames[..depth].get(frame) {
        frame.mark(Mark::Gone);
        gone.set(gone.get() + 1);
    }
}
