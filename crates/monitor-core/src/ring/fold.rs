//! Calls that are counted instead of recorded: the monitored side.
//!
//! A thread counts the children of each parent by name, and adds its counts to those of the other threads in shares ([`counts`]). Beyond a
//! certain number, further children are *folded*: they run in frames like all others, but their ends are counted in a fold slot of the
//! thread. A call leaves its fold and is recorded individually if its ids are read, if it fails (up to a limit, and beyond it with each new
//! error text), if it is slow, or if the drainer has reported it because it runs for long.
//!
//! A thread has few slots for the pairs of parent and name that it counts. When a pair must give up its slot, its count is added to those
//! of the other threads first, and continues from there when the pair comes back. So parents that take turns lose nothing. The count is
//! dropped only if the parent is a call that is gone. This is the usual case: a call that makes another one once.
//!
//! The children of a folded call have the *mark* of the fold as their parent, which only the drainer can resolve.

use super::layout::{Child, ChildrenSeen, FOLD_CHUNK_BYTES, FREE, Fold, Frame, RUNNING, Region, Words, child_key, site_of};
use super::{Ending, Facts, counts, host, new_texts, writer};
use crate::fold::{self, FAILURES_KEPT};
use crate::record::Attachment;
use crate::{clock, inside, park, site};

/// A pair that was not met for this many calls gives up the slot where a lookup starts.
const IDLE: u64 = 256;

/// Counts a child of this parent. Returns the fold that the child begins in, if there are too many to record it individually. `above` is
/// the current call, if it is the parent.
#[inline]
pub(super) fn join(
    region: &'static Region,
    above: Option<&'static Frame>,
    parent: u64,
    root: [u64; 2],
    site: usize,
) -> Option<&'static Fold> {
    if region.writer.fold_after.get() == u64::MAX {
        // Nothing is folded, so no count is needed.
        return None;
    }
    let key = child_key(parent, site as u64);
    let child = region.child(key);
    if child.key.get() != key {
        return join_slowly(region, above, parent, root[0], root[1], site);
    }
    join_as(region, child, parent, root, site)
}

#[inline]
fn join_as(region: &'static Region, child: &Child, parent: u64, root: [u64; 2], site: usize) -> Option<&'static Fold> {
    child.seen.set(region.writer.last_id.get());
    let Some(fold) = child.fold() else {
        let count = child.count.get();
        return if count < region.writer.fold_share.get() {
            child.count.set(count + 1);
            None
        } else {
            add_share(region, child, parent, root[0], root[1], site)
        };
    };
    fold.begun.publish(fold.begun.get() + 1);
    park::order();
    // Either the thread that closes the fold sees this beginning, or this thread sees that the fold is closing.
    if fold.reader.state.get() == 0 { Some(fold) } else { stay_out(child, fold) }
}

/// Like [`join`], for a pair that is counted in another slot or not counted yet.
#[cold]
#[inline(never)]
fn join_slowly(
    region: &'static Region,
    above: Option<&'static Frame>,
    parent: u64,
    root_high: u64,
    root_low: u64,
    site: usize,
) -> Option<&'static Fold> {
    let after = region.writer.fold_after.get();
    let root = [root_high, root_low];
    let key = child_key(parent, site as u64);
    let (first, ways) = (region.child(key), region.child_ways(key));
    let now = region.writer.last_id.get();
    let age = |child: &Child| if child.key.get() == 0 { u64::MAX } else { now.wrapping_sub(child.seen.get()) };
    if let Some(mut child) = ways.iter().find(|child| child.key.get() == key) {
        if age(first) > IDLE {
            first.swap(child);
            child = first;
        }
        return join_as(region, child, parent, root, site);
    }
    let child = ways.iter().fold(first, |oldest, child| if age(child) > age(oldest) { child } else { oldest });
    give_way(child);
    child.key.set(key);
    child.count.set(0);
    // A clear line belongs to a context that is only made current, and only for a moment.
    let place = above.map_or(ChildrenSeen::Unknown, |above| match above.fold() {
        Some(fold) => ChildrenSeen::ParentFold(fold),
        None if above.line.is_clear() => ChildrenSeen::Unknown,
        None => ChildrenSeen::Parent(above),
    });
    child.set_place(place);
    let is_known = !matches!(place, ChildrenSeen::Parent(above) if above.gave_way.get() != parent);
    if is_known && counts::get(shared_key(child, parent, site)) >= after {
        child.seen.set(now);
        return open(region, child, parent, root_high, root_low, site);
    }
    join_as(region, child, parent, root, site)
}

/// Adds the count of a pair to those of the other threads, if its parent may have more children.
#[inline]
fn give_way(child: &Child) {
    let (key, count) = (child.key.get(), child.count.get());
    match child.place() {
        ChildrenSeen::Parent(above) => {
            let parent = above.below.get();
            if site_of(key, parent).is_some() {
                above.gave_way.set(parent);
                counts::add(key, count);
            }
        }
        ChildrenSeen::ParentFold(fold) => {
            if let Some(site) = site_of(key, fold.mark.get()) {
                counts::add(child_key(fold.key.get(), site), count);
            }
        }
        ChildrenSeen::Unknown if key != 0 => drop(counts::add(key, count)),
        ChildrenSeen::Unknown | ChildrenSeen::Fold(_) => {}
    }
}

/// Returns the key of a pair in the counts of all threads. Each thread has its own mark for a fold, so marks can't be used.
fn shared_key(child: &Child, parent: u64, site: usize) -> u64 {
    match child.place() {
        ChildrenSeen::ParentFold(fold) if fold.mark.get() == parent => child_key(fold.key.get(), site as u64),
        _ => child.key.get(),
    }
}

/// Adds a full share to the counts of the other threads, and begins a fold if the sum is large enough.
#[cold]
#[inline(never)]
fn add_share(region: &'static Region, child: &Child, parent: u64, root_high: u64, root_low: u64, site: usize) -> Option<&'static Fold> {
    // In the first moment the length of a tick is unknown; then each call tries again.
    fold::set_up_early()?;
    if counts::add(shared_key(child, parent, site), child.count.get()) < region.writer.fold_after.get() {
        child.count.set(1);
        return None;
    }
    open(region, child, parent, root_high, root_low, site)
}

/// Counts the pair from zero, because its fold is being closed.
#[cold]
#[inline(never)]
fn stay_out(child: &Child, fold: &Fold) -> Option<&'static Fold> {
    fold.begun.publish(fold.begun.get() - 1);
    child.count.set(1);
    child.set_place(ChildrenSeen::Unknown);
    None
}

/// Finds or begins the thread's fold of the pair. Counts the pair from zero if there is no slot for a fold, or if it must not be folded.
#[cold]
#[inline(never)]
fn open(region: &'static Region, child: &Child, parent: u64, root_high: u64, root_low: u64, site: usize) -> Option<&'static Fold> {
    let root = [root_high, root_low];
    let table = fold::set_up_early()?;
    let key = shared_key(child, parent, site);
    let is_own =
        |fold: &&'static Fold| fold.reader.state.get() == 0 && fold.parent.get() == parent && Facts(fold.facts.get()).site_number() == site;
    let place = region.fold_place(child.key.get());
    let known = region.fold(place.get()).filter(is_own);
    let known = known.or_else(|| (1..=region.writer.folds.get()).filter_map(|number| region.fold(number)).find(is_own));
    // The call above the fold, unless it certainly has a row.
    let caller = match child.place() {
        ChildrenSeen::Parent(above) => Some(above).filter(|above| may_be_counted(above, parent)),
        _ => None,
    };
    let fold = if let Some(fold) = known {
        fold
    } else {
        let is_root = site::of(site).is_none_or(|site| site.kind == "root");
        let Some(fold) = Some(region).filter(|_| !is_root && parent != 0).and_then(free_slot) else {
            counts::reset(key);
            child.count.set(1);
            return None;
        };
        let may_move = match child.place() {
            ChildrenSeen::ParentFold(above) => above.mark.get() == parent && Facts(above.facts.get()).may_be_brief(),
            _ => caller.is_some(),
        };
        prepare(region, fold, parent, root, site, table.slow, may_move);
        fold.key.set(key);
        fold
    };
    place.set(fold.number.get());
    // A pair that comes back finds the fold open.
    if let ChildrenSeen::Parent(above) = child.place() {
        above.gave_way.set(parent);
        match caller.filter(|_| Facts(fold.facts.get()).may_be_brief()) {
            Some(caller) => note_folds(caller),
            None => keep(above),
        }
    }
    child.set_place(ChildrenSeen::Fold(fold));
    join_as(region, child, parent, root, site)
}

/// Returns true if the call in this frame has this id and may be counted with others, including everything below it: it began on the
/// frame's thread and ends there.
fn may_be_counted(frame: &Frame, id: u64) -> bool {
    let words = frame.line.own();
    let is_call = words.id == id && frame.home().is_none() && !frame.line.is_clear() && writer::is_recorded(frame);
    is_call && Facts(words.facts).may_be_brief()
}

/// Makes the drainer look for folds below this call when the call ends.
fn note_folds(frame: &Frame) {
    let words = frame.line.own();
    if !Facts(words.facts).has_folds() {
        frame.line.write(&Words { facts: Facts(words.facts).with_folds().0, ..words }, RUNNING);
    }
}

fn free_slot(region: &'static Region) -> Option<&'static Fold> {
    let writer = &region.writer;
    let folds = writer.folds.get();
    let free = (1..=folds).filter_map(|number| region.fold(number)).find(|fold| fold.reader.state.observe() == FREE);
    if let Some(fold) = free {
        for child in region.all_children() {
            if child.fold().is_some_and(|other| std::ptr::eq(other, fold)) {
                child.count.set(0);
                child.set_place(ChildrenSeen::Unknown);
            }
        }
        return Some(fold);
    }
    let number = folds + 1;
    if Region::begins_fold_chunk(number) && region.fold(number).is_none() {
        if !host::reserve(FOLD_CHUNK_BYTES) {
            return None;
        }
        let _inside = inside::enter();
        if !region.add_folds(host::keeper(), number) {
            host::release(FOLD_CHUNK_BYTES);
            return None;
        }
    }
    let fold = region.fold(number)?;
    fold.number.set(number);
    writer.folds.publish(number);
    Some(fold)
}

/// Brings a slot into use. `may_move` is true if its parent may be a call that is counted itself.
fn prepare(region: &Region, fold: &Fold, parent: u64, root: [u64; 2], site: usize, slow_from: u64, may_move: bool) {
    let counts = [&fold.failures_kept, &fold.begun, &fold.ended, &fold.max, &fold.last, &fold.left, &fold.failed, &fold.cancelled];
    let reader = [&fold.reader.state, &fold.reader.elsewhere, &fold.reader.revision];
    for word in counts.into_iter().chain(reader).chain(&fold.total).chain(&fold.buckets) {
        word.set(0);
    }
    fold.min.set(u64::MAX);
    fold.slow_from.set(slow_from);
    fold.parent.set(parent);
    fold.root[0].set(root[0]);
    fold.root[1].set(root[1]);
    let facts = Facts::new(site, Attachment::Explicit, region.writer.thread.get()).0;
    fold.facts.set(if may_move { facts | Facts::MAY_BE_BRIEF } else { facts });
    fold.start.set(clock::now());
    fold.mark.publish(writer::id_after(&region.writer));
    region.writer.fold_news.publish(region.writer.fold_news.get() + 1);
}

/// Ends a call in its fold and returns true, if it is a normal call on its own thread. A line of another thread is only retired and cleared
/// later, because that thread would begin its next future in the slot.
#[inline]
pub(super) fn take(fold: &Fold, is_own: bool, frame: &Frame, end: u64, ending: Ending) -> bool {
    // A thread that promotes the call later finds it gone, and an earlier promotion is visible here.
    if is_own {
        frame.line.clear();
    } else {
        frame.line.retire();
    }
    park::order();
    let elapsed = end.wrapping_sub(frame.line.start());
    let is_usual = ending == Ending::Succeeded && elapsed < fold.slow_from.get() && frame.promoted.get() != frame.line.id();
    if is_usual && is_own {
        count(fold, elapsed);
    }
    is_usual && is_own
}

/// Ends any other call in its fold. Returns true if it is counted. Otherwise it must be recorded by `words`, whose facts then
/// say whether the drainer counts it.
#[cold]
#[inline(never)]
pub(super) fn take_unusual(fold: &Fold, is_own: bool, frame: &Frame, words: &mut Words, ending: Ending) -> bool {
    let elapsed = words.end.wrapping_sub(words.start);
    let is_promoted = frame.promoted.get() == words.id;
    if !is_own {
        if is_promoted {
            fold.reader.elsewhere.count();
            words.facts = Facts(words.facts).unfolded().0;
        } else {
            words.parent = fold.mark.get();
        }
        return false;
    }
    let (is_slow, is_failed) = (elapsed >= fold.slow_from.get(), matches!(ending, Ending::Error | Ending::Panic));
    if is_promoted || is_slow || is_failed && fold.failures_kept.get() < FAILURES_KEPT {
        if is_slow && let Some(table) = fold::table() {
            fold.slow_from.set(elapsed.saturating_mul(2).min(table.longest));
        }
        if is_failed {
            fold.failures_kept.set(fold.failures_kept.get() + 1);
        }
        fold.left.publish(fold.left.get() + 1);
        words.facts = Facts(words.facts).unfolded().0;
        return false;
    }
    match ending {
        Ending::Succeeded => {}
        Ending::Cancelled => fold.cancelled.set(fold.cancelled.get() + 1),
        Ending::Error | Ending::Panic => fold.failed.set(fold.failed.get() + 1),
    }
    count(fold, elapsed);
    true
}

/// Adds an ended call to the counts.
#[inline]
fn count(fold: &Fold, elapsed: u64) {
    let Some(table) = fold::table() else { return };
    let bucket = table.bucket(elapsed);
    let ended = fold.ended.get();
    let [now, next] = if ended & 1 == 0 { [0, 1] } else { [1, 0] };
    if elapsed < fold.min.get() {
        fold.min.set(elapsed);
    }
    if elapsed > fold.max.get() {
        fold.max.set(elapsed);
    }
    fold.total[next].set(fold.total[now].get() + elapsed);
    // A write to an address that depends on the clock's value would delay all later reads, so the histogram is one call behind.
    if let Some(last) = fold.buckets.get(fold.last.get() as usize) {
        last.set(last.get() + u64::from(ended != 0));
    }
    fold.last.set(bucket as u64);
    fold.ended.publish(ended + 1);
}

/// Returns true if the message of a failure must be sent, because the call will be recorded individually, or because the drainer decides
/// that. A call that fails with a text that is new to its fold leaves the fold.
pub(super) fn keeps_failure(region: Option<&Region>, frame: &Frame, message: &str) -> bool {
    let Some(fold) = frame.fold() else { return true };
    if !is_own(region, frame) {
        return true;
    }
    let words = frame.line.own();
    let is_new = new_texts::is_new(fold.mark.get(), message);
    let is_single = fold.failures_kept.get() < FAILURES_KEPT
        || frame.promoted.get() == words.id
        || clock::now().wrapping_sub(words.start) >= fold.slow_from.get();
    if is_new && !is_single {
        leave(region, frame);
    }
    is_new || is_single
}

/// Takes the current call out of its fold, because its ids are about to be read.
#[inline]
pub(super) fn pin(region: &Region, frame: &Frame) {
    if frame.below.get() != frame.line.id() {
        pin_slowly(region, frame);
    }
    if region.writer.woven.get() != 0 {
        keep(frame);
    }
}

/// Gives a call its own row, however short it is ([`brief`](crate::brief)), because something below it may be reported after its end or by
/// another thread. Must be called on the thread on which it is current.
#[cold]
#[inline(never)]
pub(super) fn keep(frame: &Frame) {
    let words = frame.line.own();
    // A frame with a clear line is only a context made current, and in a forked child the frame may belong to the parent.
    if Facts(words.facts).may_be_brief() && !frame.line.is_clear() && writer::is_recorded(frame) {
        frame.line.write(&Words { facts: Facts(words.facts).not_brief().0, ..words }, RUNNING);
        // The children of a folded call have the mark of its fold as their parent, so the fold must not move.
        if let Some(fold) = frame.fold() {
            fold.facts.set(Facts(fold.facts.get()).not_brief().0);
        }
    }
}

#[cold]
#[inline(never)]
fn pin_slowly(region: &Region, frame: &Frame) {
    leave(Some(region), frame);
    frame.below.set(frame.line.id());
}

/// Takes a running call out of its fold.
pub(super) fn leave(region: Option<&Region>, frame: &Frame) {
    // In a forked child the frame may belong to the parent, which shares the memory.
    if frame.fold().is_none() || !writer::is_recorded(frame) {
        return;
    }
    // A span may be current on several threads at once.
    let Some(fold) = frame.take_fold() else { return };
    let mut words = frame.line.own();
    words.facts = Facts(words.facts).unfolded().0;
    frame.line.write(&words, RUNNING);
    frame.below.set(words.id);
    if is_own(region, frame) {
        fold.left.publish(fold.left.get() + 1);
    } else {
        fold.reader.elsewhere.count();
    }
}

/// Returns true if the thread of this region writes to the fold of the frame.
#[inline]
pub(super) fn is_own(region: Option<&Region>, frame: &Frame) -> bool {
    frame.home().is_none_or(|home| region.is_some_and(|region| std::ptr::eq(home, region)))
}
