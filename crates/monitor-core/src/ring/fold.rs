//! Calls that are counted instead of recorded: the monitored side.
//!
//! A thread counts the children of each parent by name, and adds them to those of the other threads a share at a time
//! ([`counts`]). Beyond a number the next ones are *folded*: they run in frames as all others do, but their ends are counted in
//! a fold slot of the thread. A call leaves its fold and is recorded singly if its ids are read, if it fails (up to a number, and
//! beyond it with each error text that is new), if it is slow, and if the one who drains has told of it because it runs so long.
//!
//! A thread has few places for the pairs of parent and name that it counts. When one has to give way, its count is added to the
//! others first, and when it comes back the count goes on from there: parents that take turns lose nothing. Only where the parent
//! is a call that is gone there is nothing to keep, and this is what most pairs are: a call that calls another one once.
//!
//! What a folded call begins has the *mark* of the fold for its parent, which only the one who drains knows to resolve.

use super::layout::{Child, ChildrenSeen, FOLD_CHUNK_BYTES, FREE, Fold, Frame, RUNNING, Region, Words, child_key, site_of};
use super::{Ending, Facts, counts, host, new_texts, writer};
use crate::fold::{self, FAILURES_KEPT};
use crate::record::Attachment;
use crate::{clock, inside, park, site};

/// A pair that was not met for so many calls gives up the place where it is found at once.
const IDLE: u64 = 256;

/// Counts a child of this parent; the fold that it begins in, if it is one too many to be recorded singly. `above`: what is
/// current, if that is the parent.
#[inline]
pub(super) fn join(
    region: &'static Region,
    above: Option<&'static Frame>,
    parent: u64,
    root: [u64; 2],
    site: usize,
) -> Option<&'static Fold> {
    if region.writer.fold_after.get() == u64::MAX {
        // Nothing is folded: there is nothing to count for.
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
    // Whoever closes it sees that one has begun, or is seen here.
    if fold.reader.state.get() == 0 { Some(fold) } else { stay_out(child, fold) }
}

/// The pair is counted at another place, or not by now.
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
    // A line that is clear is of what is only made current, and for a moment.
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

/// Adds what is counted of a pair to what others have, if its parent may have more children.
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

/// What all threads count a pair by. Each thread has a mark of its own for a fold, so its mark tells them apart.
fn shared_key(child: &Child, parent: u64, site: usize) -> u64 {
    match child.place() {
        ChildrenSeen::ParentFold(fold) if fold.mark.get() == parent => child_key(fold.key.get(), site as u64),
        _ => child.key.get(),
    }
}

/// A share is full: adds it to what others have counted, and begins a fold if those are enough.
#[cold]
#[inline(never)]
fn add_share(region: &'static Region, child: &Child, parent: u64, root_high: u64, root_low: u64, site: usize) -> Option<&'static Fold> {
    // In the first moment it is not known what a tick is worth: then each call tries.
    fold::set_up_early()?;
    if counts::add(shared_key(child, parent, site), child.count.get()) < region.writer.fold_after.get() {
        child.count.set(1);
        return None;
    }
    open(region, child, parent, root_high, root_low, site)
}

/// The fold is being closed: the pair is counted anew.
#[cold]
#[inline(never)]
fn stay_out(child: &Child, fold: &Fold) -> Option<&'static Fold> {
    fold.begun.publish(fold.begun.get() - 1);
    child.count.set(1);
    child.set_place(ChildrenSeen::Unknown);
    None
}

/// Finds the thread's fold of the pair or begins it. If there is no slot for it, or it is none to be folded, it is counted anew.
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
    // The call that has the fold below it, unless it has a row for certain.
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
    // Who comes back finds it open.
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

/// Returns true if the call that runs in this frame has this id and may be counted with others, with all that it has called: it began on
/// the frame's thread and ends there.
fn may_be_counted(frame: &Frame, id: u64) -> bool {
    let words = frame.line.own();
    let is_call = words.id == id && frame.home().is_none() && !frame.line.is_clear() && writer::is_recorded(frame);
    is_call && Facts(words.facts).may_be_brief()
}

/// Has the one who drains look for the folds below a call when it ends.
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

/// Brings a slot into use. `may_move`: its parent may be a call that is counted itself.
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

/// Ends a call in its fold, if it is one like most, on its own thread. One of another thread's is left to be cleared: that
/// thread would begin the next one in it.
#[inline]
pub(super) fn take(fold: &Fold, is_own: bool, frame: &Frame, end: u64, ending: Ending) -> bool {
    // Whoever promotes it from here on finds it gone, and whoever did before is seen here.
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

/// The same for any other: true if it is counted. Else it is to be recorded by `words`, which say by now whether it is to be
/// counted by whoever reads them.
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

/// Adds one that has ended.
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
    // To write to a place that is known only after the clock was read would hold up all that is read later: the histogram
    // is one call behind.
    if let Some(last) = fold.buckets.get(fold.last.get() as usize) {
        last.set(last.get() + u64::from(ended != 0));
    }
    fold.last.set(bucket as u64);
    fold.ended.publish(ended + 1);
}

/// Returns true if the words of a failure are to be handed on: the call will be recorded singly, or that is not decided here. A call
/// that fails in a way that is new to its fold leaves the fold.
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

/// The ids of what is current are about to be known: from here on it is a call like any other.
#[inline]
pub(super) fn pin(region: &Region, frame: &Frame) {
    if frame.below.get() != frame.line.id() {
        pin_slowly(region, frame);
    }
    if region.writer.woven.get() != 0 {
        keep(frame);
    }
}

/// It is not [`brief`](crate::brief), however short: something will hang below it that its thread may not tell before its end. To be
/// called on the thread on which it is current.
#[cold]
#[inline(never)]
pub(super) fn keep(frame: &Frame) {
    let words = frame.line.own();
    // A line that is clear is of what is only made current; in a forked child it may be the parent's.
    if Facts(words.facts).may_be_brief() && !frame.line.is_clear() && writer::is_recorded(frame) {
        frame.line.write(&Words { facts: Facts(words.facts).not_brief().0, ..words }, RUNNING);
        // What hangs below a folded call has the mark of its fold, which must not move.
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

/// Takes what runs out of its fold.
pub(super) fn leave(region: Option<&Region>, frame: &Frame) {
    // In a forked child it may be the parent's, whose memory both share.
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

/// Whether the thread of this region is the one that writes to the fold of the frame.
#[inline]
pub(super) fn is_own(region: Option<&Region>, frame: &Frame) -> bool {
    frame.home().is_none_or(|home| region.is_some_and(|region| std::ptr::eq(home, region)))
}
