//! The stack of contexts that are current on a thread, in its frames: calls, futures that are polled, and
//! contexts that are only made current.

use std::num::NonZeroU64;

use super::layout::{DEPTH, Frame, Mark, Region};
use super::writer::{self, Slot, context_of};
use super::{fold, registry};
use crate::context::Context;
use crate::switch;

/// Makes a context current. Returns the number of its frame, or `None` if it must be kept elsewhere.
#[inline]
pub(crate) fn push(context: Context) -> Option<usize> {
    push_as(|frame| {
        let id = context.process();
        frame.line.set_ids(id, [(context.root() >> 64) as u64, context.root() as u64]);
        frame.below.set(id);
        frame.set_fold(None);
        // It belongs to no recording of this program, as far as is known here.
        frame.set_marks(0, false);
        frame
    })
}

/// Makes a future current, like [`push`].
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

/// Removes a frame wherever it is in the stack: guards may be dropped in any order.
#[inline]
pub(crate) fn pop_context(frame: usize) {
    if let Some(region) = registry::region() {
        pop(region, frame);
    }
}

/// Returns the current context according to this thread's frames.
pub(crate) fn top() -> Option<Context> {
    let region = registry::region()?;
    let frame = region.current((region.writer.depth.get() as usize).checked_sub(1)?)?;
    fold::pin(region, frame);
    writer::known(frame);
    if frame.line.is_clear() {
        // Another thread may have lent it. The new id shows at the end of the closure that the context was used.
        writer::id_after(&region.writer);
    }
    context_of(frame)
}

/// Returns true if this context is current according to this thread's frames.
pub(crate) fn is_top(context: Context) -> bool {
    let top = || {
        let region = registry::region()?;
        context_of(region.current((region.writer.depth.get() as usize).checked_sub(1)?)?)
    };
    top() == Some(context)
}

/// Returns true if `is_so` holds for any context in this thread's frames.
pub(crate) fn any_current(is_so: &mut impl FnMut(Context) -> bool) -> bool {
    let Some(region) = registry::region() else { return false };
    let depth = region.writer.depth.get() as usize;
    (0..depth).any(|at| region.current(at).and_then(context_of).is_some_and(&mut *is_so))
}

/// Returns the last id given by this thread. `None` if it has no ring of its own.
pub(crate) fn last_id() -> Option<u64> {
    registry::region().filter(|_| registry::is_own()).map(|region| region.writer.last_id.get())
}

/// A call that is lent as a parent to closures, which may run on other threads and end before the call does.
///
/// The call may still be counted as brief at its end. So other threads only note in its frame that it has children. The call's own thread,
/// which has joined them by then, then gives it a row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lent {
    frame: &'static Frame,
    id: u64,
}

/// Lends the current context of this thread's frames, if it is a call.
pub(crate) fn lend() -> Option<(Context, Lent)> {
    let region = registry::region().filter(|_| registry::is_own())?;
    let depth = (region.writer.depth.get() as usize).checked_sub(1)?;
    // A future in a slot may end on another thread, and a frame with a clear line is only a context made current.
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

    /// Notes that something on another thread is a child of the call.
    pub(crate) fn has_children(self) {
        self.frame.leftover.set(self.id);
    }

    /// Ends the loan. Must be called on the call's own thread, after all closures have ended.
    #[inline]
    pub(crate) fn take_back(self) {
        if self.frame.leftover.get() == self.id && self.is_open() {
            fold::keep(self.frame);
        }
    }
}

/// Notes that the frame just pushed is a process of this program that was recorded by the queue, and that its ids were not read yet.
pub(crate) fn set_own(frame: usize) {
    if let Some(frame) = registry::region().and_then(|region| region.frames.get(frame)) {
        frame.leftover.set(frame.line.id());
        frame.set_marks(switch::recording(), false);
        frame.mark(Mark::Queued);
    }
}

/// Notes that the frame just pushed is the parent of a process without a row, whose own values are kept under this key.
pub(crate) fn set_quiet(frame: usize, key: NonZeroU64) {
    if let Some(frame) = registry::region().and_then(|region| region.frames.get(frame)) {
        frame.leftover.set(key.get());
        frame.mark(Mark::Quiet);
    }
}

/// Returns the key given to [`set_quiet`], if it was called for the current frame.
pub(crate) fn quiet() -> Option<NonZeroU64> {
    let region = registry::region()?;
    let depth = (region.writer.depth.get() as usize).checked_sub(1)?;
    let frame = region.current(depth).filter(|frame| std::ptr::eq(*frame, &raw const region.frames[depth]) && frame.is(Mark::Quiet))?;
    NonZeroU64::new(frame.leftover.get())
}

/// Returns the number of frames in use on this thread.
pub(crate) fn depth() -> usize {
    registry::region().map_or(0, |region| region.writer.depth.get() as usize)
}

/// Returns true if the ids of the current process were not read yet ([`set_own`]), and marks them as read.
pub(crate) fn take_unread() -> bool {
    let top = registry::region().and_then(|region| {
        let depth = (region.writer.depth.get() as usize).checked_sub(1)?;
        // A future is current by its slot. Then the frame at this depth still holds the data of an earlier use.
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

/// While newer contexts are kept elsewhere, nothing must be pushed on the frames.
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
