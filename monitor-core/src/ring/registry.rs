//! Which thread records into which region. A region outlives its thread: when all of it is drained, another thread gets it.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::Facts;
use super::layout::{DEPTH, REGION_BYTES, Region, SegmentRef};
use crate::own::Own;
use crate::{ids, inside, queue, site, thread};

/// Records of a thread's first segment.
pub(super) const FIRST_RECORDS: usize = 1_024;

static SHARED: Own<Shared> = Own::new();

thread_local! {
    static REGION: Cell<Option<&'static Region>> = const { Cell::new(None) };
    static PHASE: Cell<Phase> = const { Cell::new(Phase::Unattached) };
    static LEAVING: Leaving = const { Leaving };
}

struct Shared {
    registry: Mutex<Registry>,
    /// How many entries [`Registry::news`] ever had.
    news: AtomicU64,
}

#[derive(Default)]
struct Registry {
    free: Vec<&'static Region>,
    news: Vec<Attached>,
    threads: u64,
    regions: usize,
}

/// A thread that has got a region.
pub(super) struct Attached {
    pub(super) region: &'static Region,
    /// Its first segment, if the region is a new one.
    pub(super) segment: Option<SegmentRef>,
    pub(super) thread: u64,
    pub(super) name: Arc<str>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Unattached,
    /// What its allocator records meanwhile has no region.
    Attaching,
    Left,
    /// The region is the parent's of a forked child, and holds what was current when it was forked.
    Forked,
}

struct Leaving;

impl Drop for Leaving {
    fn drop(&mut self) {
        leave();
    }
}

/// Threads get regions from now on.
pub(crate) fn set_up() {
    SHARED.set(Shared { registry: Mutex::default(), news: AtomicU64::new(0) });
}

/// Leaves all regions to the parent of a forked child. What is current on its one thread stays so, in the copy of that
/// thread's region, into which nothing more is recorded.
pub(crate) fn forget() {
    SHARED.forget();
    match REGION.get() {
        Some(region) if region.writer.depth.get() > 0 => {
            region.writer.ceiling.set(0);
            PHASE.set(Phase::Forked);
        }
        _ => {
            REGION.set(None);
            PHASE.set(Phase::Unattached);
        }
    }
}

/// Whether the frames of this thread may be used when nothing is kept elsewhere.
pub(super) fn is_own() -> bool {
    PHASE.get() != Phase::Forked
}

/// The region of this thread.
#[inline]
pub(super) fn region() -> Option<&'static Region> {
    REGION.get()
}

/// Gives this thread a region, if it has none and there is room. Whether it has got one.
pub(crate) fn attach() -> bool {
    if REGION.get().is_some() || PHASE.get() != Phase::Unattached {
        return false;
    }
    let _inside = inside::enter();
    PHASE.set(Phase::Attaching);
    let region = LEAVING.try_with(|_| ()).ok().and_then(|()| take());
    PHASE.set(Phase::Unattached);
    REGION.set(region);
    region.is_some()
}

fn take() -> Option<&'static Region> {
    let name = thread::name();
    let shared = SHARED.get()?;
    let mut registry = shared.registry.lock().unwrap_or_else(PoisonError::into_inner);
    let (region, segment) = if let Some(region) = registry.free.pop() {
        (region, None)
    } else {
        let (region, segment) = new_region()?;
        // So that giving one back allocates nothing.
        registry.regions += 1;
        let regions = registry.regions;
        registry.free.reserve(regions);
        (region, Some(segment))
    };
    registry.threads = (registry.threads + 1) & Facts::MOST_THREADS;
    let thread = registry.threads;
    prepare(region, thread);
    registry.news.push(Attached { region, segment, thread, name });
    shared.news.fetch_add(1, Ordering::Release);
    Some(region)
}

fn new_region() -> Option<(&'static Region, SegmentRef)> {
    let bytes = REGION_BYTES + SegmentRef::bytes_of(FIRST_RECORDS);
    if !queue::reserve_ring(bytes) {
        return None;
    }
    let new = Region::new(FIRST_RECORDS);
    if new.is_none() {
        queue::release_ring(bytes);
    }
    new
}

/// Nothing of what ran on the thread before is left.
fn prepare(region: &'static Region, thread: u64) {
    let writer = &region.writer;
    writer.depth.publish(0);
    writer.ceiling.set(DEPTH as u64);
    writer.thread.set(thread);
    writer.sites.set(site::first() as u64);
    writer.fold_after.set(crate::fold::after());
    if writer.last_id.get() == 0 {
        writer.last_id.set(ids::seed());
    }
    region.clear_free();
    for number in (1..=writer.slots.get()).rev() {
        if let Some(slot) = region.slot(number) {
            region.push_free(slot);
        }
    }
    // The first start finds out how much room there is.
    writer.limit.set(0);
    region.reader.is_left.publish(0);
}

fn leave() {
    let Some(region) = REGION.get() else { return };
    if PHASE.get() == Phase::Forked || region.writer.depth.get() > 0 {
        // Guards that later destructors drop, or that nobody will: the region stays with them.
        return;
    }
    REGION.set(None);
    PHASE.set(Phase::Left);
    region.reader.is_left.publish(1);
    crate::park::wake();
}

/// The threads that came since the last look, which was told `seen` news.
pub(super) fn news(seen: &mut u64) -> Vec<Attached> {
    if !has_news(*seen) {
        return Vec::new();
    }
    let Some(shared) = SHARED.get() else { return Vec::new() };
    let mut registry = shared.registry.lock().unwrap_or_else(PoisonError::into_inner);
    *seen = shared.news.load(Ordering::Acquire);
    std::mem::take(&mut registry.news)
}

pub(super) fn has_news(seen: u64) -> bool {
    SHARED.get().is_some_and(|shared| shared.news.load(Ordering::Acquire) != seen)
}

/// For the next thread that comes.
pub(super) fn give_back(region: &'static Region) {
    if let Some(shared) = SHARED.get() {
        shared.registry.lock().unwrap_or_else(PoisonError::into_inner).free.push(region);
    }
}
