//! Which thread records into which region. A region outlives its thread: when all of it is drained, another thread gets it.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::Facts;
use super::layout::{DEPTH, REGION_BYTES, Region, SegmentRef};
use crate::{ids, queue, site, thread};

/// Records of a thread's first segment.
pub(super) const FIRST_RECORDS: usize = 1_024;

static REGISTRY: Mutex<Registry> = Mutex::new(Registry { free: Vec::new(), news: Vec::new(), threads: 0, regions: 0 });
/// How many entries [`Registry::news`] ever had.
static NEWS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static REGION: Cell<Option<&'static Region>> = const { Cell::new(None) };
    static PHASE: Cell<Phase> = const { Cell::new(Phase::Unattached) };
    static LEAVING: Leaving = const { Leaving };
}

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
}

struct Leaving;

impl Drop for Leaving {
    fn drop(&mut self) {
        leave();
    }
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
    PHASE.set(Phase::Attaching);
    let region = LEAVING.try_with(|_| ()).ok().and_then(|()| take());
    PHASE.set(Phase::Unattached);
    REGION.set(region);
    region.is_some()
}

fn take() -> Option<&'static Region> {
    let name = thread::name();
    let mut registry = REGISTRY.lock().unwrap_or_else(PoisonError::into_inner);
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
    NEWS.fetch_add(1, Ordering::Release);
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
    let (state, step) = ids::seeds();
    writer.ids.set(state);
    writer.ids_step.set(step);
    writer.free.set(0);
    for number in (1..=writer.slots.get()).rev() {
        if let Some(slot) = region.slot(number) {
            slot.next_free.set(writer.free.get());
            writer.free.set(number);
        }
    }
    // The first start finds out how much room there is.
    writer.limit.set(0);
    region.reader.is_left.publish(0);
}

fn leave() {
    let Some(region) = REGION.get() else { return };
    let depth = region.writer.depth.get() as usize;
    if region.frames[..depth].iter().any(|frame| !frame.line.is_clear()) {
        // Guards that later destructors drop, or that nobody will: the region stays with them.
        return;
    }
    REGION.set(None);
    PHASE.set(Phase::Left);
    region.writer.depth.publish(0);
    region.reader.is_left.publish(1);
    crate::park::wake();
}

/// The threads that came since the last look, which was told `seen` news.
pub(super) fn news(seen: &mut u64) -> Vec<Attached> {
    if !has_news(*seen) {
        return Vec::new();
    }
    let mut registry = REGISTRY.lock().unwrap_or_else(PoisonError::into_inner);
    *seen = NEWS.load(Ordering::Acquire);
    std::mem::take(&mut registry.news)
}

pub(super) fn has_news(seen: u64) -> bool {
    NEWS.load(Ordering::Acquire) != seen
}

/// For the next thread that comes.
pub(super) fn give_back(region: &'static Region) {
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner).free.push(region);
}
