//! What is current on a thread, by its frames: a stack of calls, of futures that are polled, and of contexts that are only made current.

use super::layout::{DEPTH, Frame, Mark, Region};
use super::writer::{Slot, context_of};
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
    context_of(frame)
}

/// What was just pushed is a process of this program that came by the queue, and nobody knows its ids.
pub(crate) fn set_own(frame: usize) {
    if let Some(frame) = registry::region().and_then(|region| region.frames.get(frame)) {
        frame.leftover.set(frame.line.id());
        frame.set_marks(switch::recording(), false);
        frame.mark(Mark::Queued);
    }
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
