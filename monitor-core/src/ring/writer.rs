//! What a recorded call costs: its start fills a frame, its end turns the frame into a record of the ring.
//!
//! A start is admitted only if the ring has room for the records of all open frames, so the end of a call whose start was
//! admitted is never lost. Otherwise it is dropped and counted. The end of a future, which may come on any thread, stays
//! in the future's own slot if the ring is full.

use std::marker::PhantomData;
use std::num::NonZeroU64;

use super::current::pop;
use super::layout::{ENDED_IN_SLOT, Fold, Frame, Mark, RUNNING, Region, Words, Writer};
use super::room::{admits, refuse, without_slot};
use super::{Facts, fold, host, registry, slots};
use crate::context::{Attached, Context, Token};
use crate::record::{Attachment, Failure, Site};
use crate::{clock, ids, inside, park, site, switch, trees};

/// What became of a start.
pub(crate) enum Begun<T> {
    /// It is recorded.
    Recorded(T),
    /// There was no room: it is counted as dropped.
    Refused,
    /// It is none for a ring: nothing is current in this thread's frames, or they are used up.
    Elsewhere,
}

/// How something that is in a ring ended. A failure's words go beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Ending {
    Succeeded = 0,
    Cancelled = 1,
    Error = 2,
    Panic = 3,
}

/// A sync call that runs on this thread: the number of its frame.
#[derive(Debug)]
pub(crate) struct Call {
    frame: usize,
    thread_bound: PhantomData<*mut ()>,
}

/// A future that has begun and not ended: its slot of the open table.
#[derive(Debug)]
pub(crate) struct Slot(pub(super) &'static Frame);

/// A call that has left the frames.
#[derive(Clone, Copy)]
pub(crate) struct TakenOut {
    pub(crate) context: Context,
    pub(crate) parent: u64,
    pub(crate) attachment: Attachment,
    pub(crate) is_entry: bool,
    pub(crate) begun: u64,
    pub(crate) site: &'static Site,
    pub(crate) was_panicking: bool,
}

/// Begins a sync call below what is current, and makes it current.
#[inline]
pub(crate) fn start(site: &'static Site, is_woven: bool) -> Begun<Call> {
    let Some(region) = registry::region() else { return Begun::Elsewhere };
    let depth = region.writer.depth.get();
    if depth == 0 || depth >= region.writer.ceiling.get() {
        return Begun::Elsewhere;
    }
    let Some(above) = region.current(depth as usize - 1) else { return Begun::Elsewhere };
    let parent = above.parent_ids();
    if !admits(region, depth) {
        return refuse(region, parent);
    }
    let frame = &region.frames[depth as usize];
    region.set_current(depth as usize, frame);
    let facts = woven(region, is_woven);
    if region.writer.woven.get() != 0 && above.home().is_some() {
        // A future: it may end on another thread.
        fold::keep(above);
    }
    begin(region, frame, site, Some(above), parent, Attachment::Explicit, facts, std::thread::panicking());
    region.writer.depth.publish(depth + 1);
    park::wake();
    Begun::Recorded(Call { frame: depth as usize, thread_bound: PhantomData })
}

/// Begins a sync call at the place that was found for it, and makes it current.
pub(crate) fn start_at(site: &'static Site, attached: Attached, is_woven: bool) -> Begun<Call> {
    let Some(region) = registry::region() else { return Begun::Elsewhere };
    let depth = region.writer.depth.get();
    if depth >= region.writer.ceiling.get() {
        return Begun::Elsewhere;
    }
    let parent = ids_of(&region.writer, attached.parent);
    if !admits(region, depth) {
        return refuse(region, parent);
    }
    let frame = &region.frames[depth as usize];
    region.set_current(depth as usize, frame);
    let facts = woven(region, is_woven && parent.0 != 0 && !attached.entry);
    begin(region, frame, site, None, parent, attached.attachment, facts, std::thread::panicking());
    if attached.entry {
        enter_tree(frame);
    }
    region.writer.depth.publish(depth + 1);
    park::wake();
    Begun::Recorded(Call { frame: depth as usize, thread_bound: PhantomData })
}

/// Ends a sync call; what was current before it is current again.
#[inline]
#[expect(clippy::needless_pass_by_value, reason = "it is over")]
pub(crate) fn end(call: Call, ending: Ending) {
    let end = clock::now();
    let Some(region) = registry::region() else { return };
    let frame = &region.frames[call.frame];
    if is_recorded(frame) {
        publish(region, frame, true, end, ending);
    } else {
        frame.line.clear();
    }
    pop(region, call.frame);
    park::wake();
}

/// Begins a future below what is current. It is current only while it is polled.
#[inline]
pub(crate) fn open(site: &'static Site, is_woven: bool) -> Begun<Slot> {
    let Some(region) = registry::region() else { return Begun::Elsewhere };
    let depth = region.writer.depth.get();
    let above = if depth == 0 || depth > region.writer.ceiling.get() { None } else { region.current(depth as usize - 1) };
    let Some(above) = above else { return Begun::Elsewhere };
    let parent = above.parent_ids();
    let Some(slot) = slots::take(region) else { return without_slot(region, parent) };
    slot.leftover.set(0);
    if region.writer.woven.get() != 0 {
        fold::keep(above);
    }
    begin(region, slot, site, Some(above), parent, Attachment::Explicit, woven(region, is_woven), false);
    park::wake();
    Begun::Recorded(Slot(slot))
}

/// Begins a future at the place that was found for it.
pub(crate) fn open_at(site: &'static Site, attached: Attached) -> Begun<Slot> {
    let Some(region) = registry::region().filter(|region| region.writer.ceiling.get() > 0) else { return Begun::Elsewhere };
    let parent = ids_of(&region.writer, attached.parent);
    let Some(slot) = slots::take(region) else { return without_slot(region, parent) };
    slot.leftover.set(0);
    begin(region, slot, site, None, parent, attached.attachment, 0, false);
    if attached.entry {
        enter_tree(slot);
    }
    park::wake();
    Begun::Recorded(Slot(slot))
}

/// Ends a future, on whichever thread.
#[inline(never)]
#[expect(clippy::needless_pass_by_value, reason = "it is over")]
pub(crate) fn close(slot: Slot, ending: Ending) {
    let (end, slot) = (clock::now(), slot.0);
    if !is_recorded(slot) {
        // It may be one of the parent of a forked child, who shares its memory.
        return;
    }
    match registry::region() {
        Some(region) if admits(region, region.writer.depth.get()) => {
            if fold::is_own(Some(region), slot) {
                publish(region, slot, true, end, ending);
                region.push_free(slot);
            } else {
                publish_elsewhere(region, slot, end, ending);
            }
        }
        region => close_without_room(region, slot, end, ending),
    }
    park::wake();
}

#[cold]
#[inline(never)]
fn close_without_room(region: Option<&'static Region>, slot: &'static Frame, end: u64, ending: Ending) {
    if slot.is(Mark::Entry) {
        leave_tree(slot);
    }
    let mut words = ended(slot, end, ending);
    let is_own = fold::is_own(region, slot);
    let is_counted = slot
        .fold()
        .is_some_and(|fold| fold::take(fold, is_own, slot, end, ending) || fold::take_unusual(fold, is_own, slot, &mut words, ending));
    match region {
        // Only its own thread counts it.
        Some(region) if is_counted => region.push_free(slot),
        _ => slot.line.write(&words, ENDED_IN_SLOT),
    }
}

impl Call {
    #[inline]
    pub(crate) fn end_with(self, failure: Option<Failure>) {
        match failure {
            None => end(self, Ending::Succeeded),
            Some(failure) => {
                let ending = self.frame().map_or(Ending::Error, |frame| tell(frame, failure));
                end(self, ending);
            }
        }
    }

    /// Whether the thread began to panic since the call began.
    #[inline]
    pub(crate) fn panicked_meanwhile(&self) -> bool {
        std::thread::panicking() && self.frame().is_some_and(|frame| !frame.is(Mark::Panicking))
    }

    /// The call goes on as a future and is no longer current; `Err` if there is no room for one more.
    pub(crate) fn into_slot(self) -> Result<Slot, Self> {
        let Some((region, frame)) = registry::region().filter(|_| registry::is_own()).zip(self.frame()) else { return Err(self) };
        let Some(slot) = slots::take(region) else { return Err(self) };
        keep_above(region, self.frame);
        slot.leftover.set(0);
        slot.copy_marks(frame);
        slot.below.set(frame.below.get());
        slot.set_fold(frame.fold());
        // Gone for a moment, so that whoever promotes it promotes one of the two.
        frame.line.clear();
        park::order();
        slot.promoted.set(frame.promoted.get());
        slot.line.write(&frame.line.own(), RUNNING);
        fold::keep(slot);
        pop(region, self.frame);
        Ok(Slot(slot))
    }

    /// The call is to be told of in another way from now on, and is no longer current here.
    pub(crate) fn take_out(self) -> Option<TakenOut> {
        let (region, frame) = registry::region().zip(self.frame())?;
        fold::leave(Some(region), frame);
        keep_above(region, self.frame);
        let words = frame.line.own();
        let taken = TakenOut {
            context: Context::new(words.root(), words.id)?,
            parent: words.parent,
            attachment: Facts(words.facts).attachment(),
            is_entry: frame.is(Mark::Entry),
            begun: words.start,
            site: Facts(words.facts).site()?,
            was_panicking: frame.is(Mark::Panicking),
        };
        frame.line.clear();
        pop(region, self.frame);
        Some(taken)
    }

    fn frame(&self) -> Option<&'static Frame> {
        registry::region().map(|region| &region.frames[self.frame])
    }
}

impl Slot {
    /// What is current while the future is polled.
    #[inline]
    pub(crate) fn context(&self) -> Option<Context> {
        fold::leave(registry::region(), self.0);
        fold::keep(self.0);
        context_of(self.0)
    }

    /// Whether it is one that this program may write to: not one of the parent of a forked child.
    pub(crate) fn is_own(&self) -> bool {
        is_recorded(self.0)
    }

    /// Remembers what stays current until the future is dropped.
    pub(crate) fn set_leftover(&self, token: Option<Token>) {
        self.0.leftover.set(token.map_or(0, Token::get));
    }

    #[inline]
    pub(crate) fn leftover(&self) -> Option<Token> {
        Token::new(self.0.leftover.get())
    }

    #[cold]
    pub(crate) fn fail(self, failure: Failure) {
        let ending = tell(self.0, failure);
        close(self, ending);
    }
}

/// Ends all calls that this thread is in the middle of, and the futures that it polls, the innermost first. What came by the queue
/// and is current here is given back, to be ended there.
pub(crate) fn end_open(failure: impl Fn() -> Option<Failure>) -> Vec<Context> {
    let Some(region) = registry::region() else { return Vec::new() };
    let mut queued = Vec::new();
    for depth in (0..region.writer.depth.get() as usize).rev() {
        let Some(current) = region.current(depth).filter(|current| is_recorded(current) && !current.is(Mark::Gone)) else { continue };
        if !std::ptr::eq(current, &raw const region.frames[depth]) {
            match failure() {
                Some(failure) => Slot(current).fail(failure),
                None => close(Slot(current), Ending::Succeeded),
            }
        } else if current.is(Mark::Queued) {
            queued.extend(context_of(current));
        } else {
            Call { frame: depth, thread_bound: PhantomData }.end_with(failure());
        }
    }
    queued
}

#[inline(always)]
#[expect(clippy::inline_always, clippy::too_many_arguments, reason = "each of its callers knows other arguments beforehand")]
fn begin(
    region: &'static Region,
    frame: &Frame,
    site: &'static Site,
    above: Option<&'static Frame>,
    (parent, root): (u64, [u64; 2]),
    attachment: Attachment,
    more_facts: u64,
    was_panicking: bool,
) {
    let writer = &region.writer;
    frame.set_marks(switch::recording(), was_panicking);
    let site = site::number(site, writer.sites.get() as usize);
    let mut facts = Facts(Facts::new(site, attachment, writer.thread.get()).0 | more_facts);
    // Before what the call is counted in is written to: that would hold up the clock.
    let start = clock::now();
    let fold = fold::join(region, above, parent, root, site);
    let id = id_after(writer);
    frame.set_fold(fold);
    frame.below.set(fold.map_or(id, |fold| fold.mark.get()));
    if fold.is_some() {
        facts = facts.folded();
    }
    frame.line.write(&Words { start, id, parent, root, end: 0, facts: facts.0 }, RUNNING);
}

/// What the facts of a woven call say further.
#[inline]
fn woven(region: &Region, is_woven: bool) -> u64 {
    if is_woven { region.writer.woven.get() } else { 0 }
}

/// Recording may be over, or the call one of the parent of a forked child.
#[inline]
pub(super) fn is_recorded(frame: &Frame) -> bool {
    frame.recording() == switch::recording()
}

/// Makes a record of what ran, or counts it. `is_own`: it began on this thread.
#[inline(always)]
#[expect(clippy::inline_always, reason = "the end of every call, which has no other work to do")]
fn publish(region: &Region, frame: &Frame, is_own: bool, end: u64, ending: Ending) {
    if frame.is(Mark::Entry) {
        leave_tree(frame);
    }
    if let Some(fold) = frame.fold() {
        if !fold::take(fold, is_own, frame, end, ending) {
            publish_unusual(region, frame, fold, is_own, end, ending);
        }
        return;
    }
    let head = region.writer.head.get();
    region.segment().line(head).write_ended(&frame.line, end, Facts::of(ending), head);
    // Before the record counts: who has taken it must not find its frame any more.
    frame.line.clear();
    region.writer.head.publish(head + 1);
}

/// The same for what is folded and not like most.
#[cold]
#[inline(never)]
fn publish_unusual(region: &Region, frame: &Frame, fold: &Fold, is_own: bool, end: u64, ending: Ending) {
    let mut words = ended(frame, end, ending);
    let is_counted = fold::take_unusual(fold, is_own, frame, &mut words, ending);
    if !is_own {
        frame.line.clear();
    }
    if is_counted {
        return;
    }
    let head = region.writer.head.get();
    region.segment().line(head).write(&words, head);
    region.writer.head.publish(head + 1);
}

/// The record of what ran.
#[inline]
fn ended(frame: &Frame, end: u64, ending: Ending) -> Words {
    let words = frame.line.own();
    Words { end, facts: Facts(words.facts).ended(ending).0, ..words }
}

/// A new id of this thread, if it has a ring of its own.
pub(crate) fn new_id() -> Option<NonZeroU64> {
    let region = registry::region().filter(|_| registry::is_own())?;
    NonZeroU64::new(id_after(&region.writer))
}

/// Ids of one thread ascend, so that calls of the same microsecond are shown in their order. Where they begin is random.
#[inline]
pub(super) fn id_after(writer: &Writer) -> u64 {
    let id = next_id(writer);
    writer.last_id.set(id);
    id
}

#[inline]
fn next_id(writer: &Writer) -> u64 {
    writer.last_id.get().wrapping_add(1).max(1)
}

/// Ids of a parent: without one, those of the new tree that the next process of this thread begins.
fn ids_of(writer: &Writer, parent: Option<Context>) -> (u64, [u64; 2]) {
    let (process, root) = parent.map_or_else(|| (0, ids::new_root_now(next_id(writer))), |parent| (parent.process(), parent.root()));
    (process, [(root >> 64) as u64, root as u64])
}

pub(super) fn context_of(frame: &Frame) -> Option<Context> {
    let (id, [high, low]) = frame.line.ids();
    Context::new(u128::from(high) << 64 | u128::from(low), id)
}

/// What is above a frame has a child that won't end in it.
fn keep_above(region: &Region, frame: usize) {
    if let Some(above) = frame.checked_sub(1).and_then(|above| region.current(above)) {
        fold::keep(above);
    }
}

fn enter_tree(frame: &Frame) {
    if let Some(context) = context_of(frame) {
        frame.mark(Mark::Entry);
        trees::enter(context);
    }
}

#[cold]
#[inline(never)]
fn leave_tree(frame: &Frame) {
    if let Some(context) = context_of(frame) {
        trees::leave(context);
    }
}

/// Hands on the words of a failure, before the record that they belong to.
#[cold]
fn tell(frame: &Frame, mut failure: Failure) -> Ending {
    let _inside = inside::enter();
    let words = frame.line.own();
    let ending = if failure.kind == "panic" { Ending::Panic } else { Ending::Error };
    if !is_recorded(frame) || !fold::keeps_failure(registry::region(), frame) {
        return ending;
    }
    if ending == Ending::Error {
        failure.place = Facts(words.facts).site().map(|site| (site.file.into(), site.line));
    }
    host::keep_words(words.id, failure);
    ending
}

/// Ends what began on another thread. The slot is for another future of that one.
#[inline(never)]
fn publish_elsewhere(region: &Region, slot: &Frame, end: u64, ending: Ending) {
    publish(region, slot, false, end, ending);
    if let Some(home) = slot.home() {
        home.reader.freed.count();
    }
}
