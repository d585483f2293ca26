//! Records a call in its thread's ring: the start fills a frame, the end turns the frame into a record.
//!
//! Only the thread itself writes its frames and its ring. The drainer reads both at any moment, and so does a reader of the file after the
//! program was killed between any two stores. Four orders keep what they see correct:
//!
//! 1. *A frame is filled before it counts.* A start writes the frame's line, whose check is stored last, and then publishes the depth.
//!    Readers skip a line whose check doesn't fit (`ring/model.rs`, `tests/damaged.rs`).
//! 2. *The record is there before the frame goes, and the frame is gone before the record counts.* An end writes the record, clears the
//!    frame and only then publishes the head. In the other order a call could be lost by a kill in between, or be reported as running after
//!    it was reported as ended (`ring/model.rs`: `a_published_record_is_complete_and_its_frame_is_cleared`).
//! 3. *Room for the end is taken at the start.* A start is admitted only if the ring has room for the records of all open frames besides.
//!    So the end of an admitted call always finds room, and only starts are dropped and counted (`tests/rings.rs`:
//!    `a_full_ring_drops_starts_and_no_ends`).
//! 4. *A sleeping drainer is woken last.* Each start and end finishes with [`park::wake`], after its stores (`tests/rings.rs`:
//!    `parking_loses_no_wake_up`).
//!
//! A future may end on another thread, where no room was taken. If that thread's ring is full, the end stays in the future's own slot until
//! it is drained (`tests/rings.rs`: `a_thousand_futures_end_on_another_thread_with_a_full_ring`).

use std::marker::PhantomData;
use std::num::NonZeroU64;

use super::current::pop;
use super::layout::{ENDED_IN_SLOT, Fold, Frame, Mark, RUNNING, Region, Words, Writer};
use super::room::{admits, refuse, without_slot};
use super::{Facts, fold, host, registry, slots};
use crate::context::{Attached, Context, Token};
use crate::record::{Attachment, Failure, Site};
use crate::{clock, ids, inside, park, site, switch, trees, verdict};

/// Result of a start.
pub(crate) enum Begun<T> {
    /// It is recorded.
    Recorded(T),
    /// There was no room. The start is counted as dropped.
    Refused,
    /// The ring can't take this call: nothing is current in this thread's frames, or all frames are in use. It goes by the queue.
    Elsewhere,
}

/// How a recorded call ended. The message of a failure is too long for a record and goes by the queue.
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

/// A future that has begun and not ended: its slot in the open table.
#[derive(Debug)]
pub(crate) struct Slot(pub(super) &'static Frame);

/// A call that was taken out of its frame, with everything needed to record its end by the queue.
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

/// Begins a sync call below the current process, and makes it current.
#[inline]
pub(crate) fn start(site: &'static Site, is_woven: bool) -> Begun<Call> {
    let Some(region) = registry::region() else { return Begun::Elsewhere };
    let depth = region.writer.depth.get();
    if depth == 0 || depth >= region.writer.ceiling.get() {
        return Begun::Elsewhere;
    }
    let Some(above) = region.current(depth as usize - 1) else { return Begun::Elsewhere };
    let parent = above.parent_ids();
    // Before anything is written: the end of this call must find room.
    if !admits(region, depth) {
        return refuse(region, parent);
    }
    let frame = &region.frames[depth as usize];
    region.set_current(depth as usize, frame);
    let facts = woven(region, is_woven);
    if region.writer.woven.get() != 0 && above.home().is_some() {
        // A future, which may end on another thread
        fold::keep(above);
    }
    begin(region, frame, site, Some(above), parent, Attachment::Explicit, facts, std::thread::panicking());
    // Until here a reader takes the frame for unused.
    region.writer.depth.publish(depth + 1);
    park::wake();
    Begun::Recorded(Call { frame: depth as usize, thread_bound: PhantomData })
}

/// Begins a sync call at the place that was determined for it, and makes it current.
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

/// Ends a sync call. What was current before it is current again.
#[inline]
#[expect(clippy::needless_pass_by_value, reason = "it is over")]
pub(crate) fn end(call: Call, ending: Ending) {
    // First of all, so that the work done here isn't part of the call's time.
    let end = clock::now();
    let Some(region) = registry::region() else { return };
    let frame = &region.frames[call.frame];
    if is_recorded(frame) {
        publish(region, frame, true, end, ending);
    } else {
        // The frame was copied from the parent of a forked child, or recording is over: nothing is reported.
        frame.line.clear();
    }
    // After the record: until here the frame counts, and calls made meanwhile belong to this call.
    pop(region, call.frame);
    park::wake();
}

/// Begins a future below the current process. It is current only while it is polled.
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

/// Begins a future at the place that was determined for it.
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

/// Ends a future, on any thread.
#[inline(never)]
#[expect(clippy::needless_pass_by_value, reason = "it is over")]
pub(crate) fn close(slot: Slot, ending: Ending) {
    let (end, slot) = (clock::now(), slot.0);
    if !is_recorded(slot) {
        // After a fork, the child must not write to its parent's slots: both share the memory.
        return;
    }
    match registry::region() {
        Some(region) if admits(region, region.writer.depth.get()) => {
            // Only the thread that owns the slot's table keeps the list of free slots. Another thread counts the slot as
            // freed, and its own thread takes it back.
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

/// Ends a future on a thread whose ring is full or that has none. The ended words replace the running ones in the slot, marked by
/// [`ENDED_IN_SLOT`], in one checked write. The drainer makes the record and frees the slot.
#[cold]
#[inline(never)]
fn close_without_room(region: Option<&'static Region>, slot: &'static Frame, end: u64, ending: Ending) {
    let ending = if slot.is_unusual() { conclude(slot, ending) } else { ending };
    let mut words = ended(slot, end, ending);
    let is_own = fold::is_own(region, slot);
    let is_counted = slot
        .fold()
        .is_some_and(|fold| fold::take(fold, is_own, slot, end, ending) || fold::take_unusual(fold, is_own, slot, &mut words, ending));
    match region {
        // A fold has counted the call, so no record is needed. Without a region, the slot isn't this thread's to free.
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

    /// Returns true if the thread began to panic after the call had begun.
    #[inline]
    pub(crate) fn panicked_meanwhile(&self) -> bool {
        std::thread::panicking() && self.frame().is_some_and(|frame| !frame.is(Mark::Panicking))
    }

    /// Moves the call from its frame into a slot, where it continues as a future and is no longer current.
    /// Returns it unchanged if no slot is free.
    pub(crate) fn into_slot(self) -> Result<Slot, Self> {
        let Some((region, frame)) = registry::region().filter(|_| registry::is_own()).zip(self.frame()) else { return Err(self) };
        let Some(slot) = slots::take(region) else { return Err(self) };
        keep_above(region, self.frame);
        slot.leftover.set(0);
        slot.copy_marks(frame);
        slot.below.set(frame.below.get());
        slot.set_fold(frame.fold());
        // For a moment the call is stored nowhere. If it were stored in both, the drainer could report both as running. The drainer marks a
        // call that it reported as promoted, and the mark is copied after the barrier, so that it isn't lost either.
        frame.line.clear();
        park::order();
        slot.promoted.set(frame.promoted.get());
        slot.line.write(&frame.line.own(), RUNNING);
        fold::keep(slot);
        pop(region, self.frame);
        Ok(Slot(slot))
    }

    /// Takes the call out of its frame, to be reported by the queue from now on. It is no longer current here.
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

    /// Returns its ids for a report about it, `None` if it is counted in a fold. It keeps a row of its own.
    pub(crate) fn told_singly(&self) -> Option<Context> {
        self.frame().and_then(told_singly)
    }

    fn frame(&self) -> Option<&'static Frame> {
        registry::region().map(|region| &region.frames[self.frame])
    }
}

impl Slot {
    /// Returns the ids of the process that is current while the future is polled. Since the ids are read, the call leaves its fold.
    #[inline]
    pub(crate) fn context(&self) -> Option<Context> {
        fold::leave(registry::region(), self.0);
        fold::keep(self.0);
        known(self.0);
        context_of(self.0)
    }

    /// Returns its ids for a report about it, `None` if it is counted in a fold. It keeps a row of its own.
    pub(crate) fn told_singly(&self) -> Option<Context> {
        told_singly(self.0)
    }

    /// Returns its ids for use within the recorder. They don't count as read.
    pub(crate) fn own(&self) -> Option<Context> {
        context_of(self.0)
    }

    /// Returns true if it is counted in a fold.
    pub(crate) fn is_folded(&self) -> bool {
        self.0.fold().is_some()
    }

    /// Returns true if this program may write to the slot. After a fork, the child must not write to its parent's slots.
    pub(crate) fn is_own(&self) -> bool {
        is_recorded(self.0)
    }

    /// Stores the guard that keeps a future current while everything in it is dropped, if it is dropped before its end.
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

/// Ends all open calls of this thread and the futures that it polls, the innermost first. Returns the current processes that were recorded
/// by the queue, which must be ended there.
pub(crate) fn end_open(failure: impl Fn() -> Option<Failure>) -> Vec<Context> {
    let Some(region) = registry::region() else { return Vec::new() };
    let mut queued = Vec::new();
    for depth in (0..region.writer.depth.get() as usize).rev() {
        let Some(current) = region.current(depth).filter(|current| is_recorded(current) && !current.is(Mark::Gone)) else { continue };
        if !std::ptr::eq(current, &raw const region.frames[depth]) {
            match failure() {
                // A span that was entered twice has ended already.
                _ if current.line.is_clear() => {}
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

/// Fills a frame or a slot. A frame counts only when the caller publishes the depth; a slot counts as soon as its check is written.
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
    // Read before the fold's memory is written to: the clock's instruction would wait for those stores.
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

/// Returns the bits that are added to the facts of a woven call.
#[inline]
fn woven(region: &Region, is_woven: bool) -> u64 {
    if is_woven { region.writer.woven.get() } else { 0 }
}

/// Returns true if the frame was filled by this program in the current recording, not by the parent of a forked
/// child or in a recording that is over.
#[inline]
pub(super) fn is_recorded(frame: &Frame) -> bool {
    frame.recording() == switch::recording()
}

/// Records a call that has ended, or counts it in its fold. `is_own` is true if it began on this thread.
#[inline(always)]
#[expect(clippy::inline_always, reason = "the end of every call, which has no other work to do")]
fn publish(region: &Region, frame: &Frame, is_own: bool, end: u64, ending: Ending) {
    let ending = if frame.is_unusual() { conclude(frame, ending) } else { ending };
    if let Some(fold) = frame.fold() {
        if !fold::take(fold, is_own, frame, end, ending) {
            publish_unusual(region, frame, fold, is_own, end, ending);
        }
        return;
    }
    let head = region.writer.head.get();
    region.segment().line(head).write_ended(&frame.line, end, Facts::of(ending), head);
    // Between the two: see order 2 above.
    frame.line.clear();
    region.writer.head.publish(head + 1);
}

/// Like [`publish`], for a folded call that failed, was slow, or whose ids are known: it leaves its fold and gets a record.
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

/// Returns the frame's words with the end added.
#[inline]
fn ended(frame: &Frame, end: u64, ending: Ending) -> Words {
    let words = frame.line.own();
    Words { end, facts: Facts(words.facts).ended(ending).0, ..words }
}

/// Returns a new id of this thread, if it has a ring of its own.
pub(crate) fn new_id() -> Option<NonZeroU64> {
    let region = registry::region().filter(|_| registry::is_own())?;
    NonZeroU64::new(id_after(&region.writer))
}

/// Returns the next id. The ids of one thread ascend, so that calls of the same microsecond are shown in
/// their order. The first id is random.
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

/// Returns the ids of a parent. Without a parent, the root is that of the new tree that the next process of this thread begins.
fn ids_of(writer: &Writer, parent: Option<Context>) -> (u64, [u64; 2]) {
    let (process, root) = parent.map_or_else(|| (0, ids::new_root_now(next_id(writer))), |parent| (parent.process(), parent.root()));
    (process, [(root >> 64) as u64, root as u64])
}

fn told_singly(frame: &'static Frame) -> Option<Context> {
    if frame.fold().is_some() || !is_recorded(frame) {
        return None;
    }
    // A report about the call needs its row.
    fold::keep(frame);
    context_of(frame)
}

pub(super) fn context_of(frame: &Frame) -> Option<Context> {
    let (id, [high, low]) = frame.line.ids();
    Context::new(u128::from(high) << 64 | u128::from(low), id)
}

/// Makes the call above this frame keep its own row: it has a child that will end elsewhere and needs its parent.
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

/// Leaves the trees that threads without a context may join, and checks whether the call was marked as failed. Returns how it ends.
#[cold]
#[inline(never)]
fn conclude(frame: &Frame, ending: Ending) -> Ending {
    if frame.is(Mark::Entry)
        && let Some(context) = context_of(frame)
    {
        trees::leave(context);
    }
    match verdict::take(frame.line.id()) {
        Some(failure) if matches!(ending, Ending::Succeeded | Ending::Cancelled) => tell(frame, failure),
        _ => ending,
    }
}

/// Notes that the ids of the current process were read.
pub(super) fn known(frame: &Frame) {
    // In a forked child the frame may belong to the parent, which shares the memory.
    if is_recorded(frame) {
        frame.mark(Mark::Known);
    }
}

/// Sends the message of a failure to the queue before its record is published, because the drainer of the record must find it.
#[cold]
fn tell(frame: &Frame, mut failure: Failure) -> Ending {
    let _inside = inside::enter();
    let words = frame.line.own();
    let ending = if failure.kind == "panic" { Ending::Panic } else { Ending::Error };
    if !is_recorded(frame) || !fold::keeps_failure(registry::region(), frame, &failure.message) {
        return ending;
    }
    if ending == Ending::Error && failure.place.is_none() {
        failure.place = Facts(words.facts).site().map(|site| (site.file.into(), site.line));
    }
    host::keep_words(words.id, failure);
    ending
}

/// Ends a future that began on another thread, and counts its slot as freed for that thread.
#[inline(never)]
fn publish_elsewhere(region: &Region, slot: &Frame, end: u64, ending: Ending) {
    publish(region, slot, false, end, ending);
    if let Some(home) = slot.home() {
        home.reader.freed.count();
    }
}
