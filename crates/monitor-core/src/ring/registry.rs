//! Assigns regions to the threads that record into them. A region outlives its thread: when all of it is drained, another thread gets it.

#![allow(unsafe_code, reason = "memory that a forked child must not share is replaced")]

use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::layout::{DEPTH, REGION_BYTES, Region, SegmentRef};
use super::{Facts, host, room};
use crate::own::Own;
use crate::{ids, inside, memory, site, thread};

/// Number of records in a thread's first segment.
pub const FIRST_RECORDS: usize = 1_024;

static SHARED: Own<Shared> = Own::new();

thread_local! {
    static REGION: Cell<Option<&'static Region>> = const { Cell::new(None) };
    static PHASE: Cell<Phase> = const { Cell::new(Phase::Unattached) };
    static FORK: Cell<Fork> = const { Cell::new(Fork::Private) };
    static LEAVING: Leaving = const { Leaving };
}

struct Shared {
    registry: Mutex<Registry>,
    /// Total number of entries that [`Registry::news`] ever had.
    news: AtomicU64,
}

#[derive(Default)]
struct Registry {
    all: Vec<&'static Region>,
    free: Vec<&'static Region>,
    news: Vec<Attached>,
    threads: u64,
}

/// A thread that has got a region.
pub(super) struct Attached {
    pub(super) region: &'static Region,
    /// Its first segment, if the region is new.
    pub(super) segment: Option<SegmentRef>,
    pub(super) thread: u64,
    pub(super) name: Arc<str>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Unattached,
    /// The thread is getting a region. Calls recorded by its allocator meanwhile have none.
    Attaching,
    Left,
    /// The thread runs in a forked child. The region belongs to the parent, and holds what was current at the fork.
    Forked,
}

/// What the child of a fork by this thread does with the thread's region.
#[derive(Clone, Copy)]
enum Fork {
    /// Nothing, because it has a copy of the memory.
    Private,
    /// It would share the region with its parent, and leaves it. Nothing is current then.
    Leave,
    /// It puts this copy in the place of the region.
    Replace(NonNull<u8>),
}

struct Leaving;

impl Drop for Leaving {
    fn drop(&mut self) {
        leave();
    }
}

/// Enables regions for threads.
pub(crate) fn set_up(host: &'static dyn host::Host) {
    host::set(host);
    SHARED.set(Shared { registry: Mutex::default(), news: AtomicU64::new(0) });
}

/// Prepares a fork by this thread: copies the current contexts for the child, if the child would share the memory with its parent.
pub(crate) fn before_fork() {
    let Some(region) = REGION.get().filter(|_| is_own() && host::keeper().is_shared()) else { return };
    let copy = if region.writer.depth.get() > 0 { region.copy() } else { None };
    FORK.set(copy.map_or(Fork::Leave, Fork::Replace));
}

/// Frees the copy in the parent, after the fork.
pub(crate) fn after_fork() {
    if let Fork::Replace(copy) = FORK.replace(Fork::Private) {
        // SAFETY: it was made by `before_fork`, only for the child.
        unsafe { memory::unmap(copy, REGION_BYTES) };
    }
}

/// Leaves all regions to the parent of a forked child. What is current on the child's only thread stays current, in a copy of that thread's
/// region. Nothing more is recorded into the copy.
pub(crate) fn forget() {
    host::forget();
    SHARED.forget();
    let region = REGION.get().filter(|region| match FORK.replace(Fork::Private) {
        Fork::Private => region.writer.depth.get() > 0,
        Fork::Leave => false,
        // SAFETY: from here on the region belongs to this thread, which is the only one, and nobody else reads it.
        Fork::Replace(copy) => unsafe { memory::replace(NonNull::from(*region).cast(), copy, REGION_BYTES) },
    });
    if let Some(region) = region {
        region.writer.ceiling.set(0);
    }
    REGION.set(region);
    PHASE.set(if region.is_some() { Phase::Forked } else { Phase::Unattached });
}

/// Returns true if the frames of this thread may be used when no context is kept elsewhere.
pub(super) fn is_own() -> bool {
    PHASE.get() != Phase::Forked
}

/// Returns the region of this thread.
#[inline]
pub(super) fn region() -> Option<&'static Region> {
    REGION.get()
}

/// Gives this thread a region, if it has none and there is room. Returns true if it has got one.
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

/// Returns true if this thread has no region because there was no room for one.
pub(crate) fn lacks_room() -> bool {
    REGION.get().is_none() && PHASE.get() == Phase::Unattached && SHARED.get().is_some() && LEAVING.try_with(|_| ()).is_ok()
}

fn take() -> Option<&'static Region> {
    let name = thread::name();
    let shared = SHARED.get()?;
    let mut registry = shared.registry.lock().unwrap_or_else(PoisonError::into_inner);
    let (region, segment) = if let Some(region) = registry.free.pop() {
        (region, None)
    } else {
        let (region, segment) = new_region(registry.all.len() as u32)?;
        registry.all.push(region);
        // So that giving a region back allocates nothing
        let regions = registry.all.len();
        registry.free.reserve(regions);
        (region, Some(segment))
    };
    registry.threads = (registry.threads + 1) & Facts::MOST_THREADS;
    let thread = registry.threads;
    prepare(region, thread, &name);
    registry.news.push(Attached { region, segment, thread, name });
    shared.news.fetch_add(1, Ordering::Release);
    Some(region)
}

fn new_region(number: u32) -> Option<(&'static Region, SegmentRef)> {
    let bytes = REGION_BYTES + SegmentRef::bytes_of(FIRST_RECORDS);
    if !host::reserve(bytes) {
        return None;
    }
    let new = Region::new(host::keeper(), number, FIRST_RECORDS);
    if new.is_none() {
        host::release(bytes);
    }
    new
}

/// Prepares a region for a thread: nothing of its last thread remains.
fn prepare(region: &'static Region, thread: u64, name: &str) {
    let writer = &region.writer;
    region.reader.set_name(name);
    writer.depth.publish(0);
    writer.ceiling.set(DEPTH as u64);
    writer.thread.set(thread);
    writer.sites.set(site::first() as u64);
    writer.fold_after.set(crate::fold::after());
    writer.fold_share.set(crate::fold::share());
    writer.woven.set(if crate::fold::has_below() { Facts::MAY_BE_BRIEF } else { 0 });
    if writer.last_id.get() == 0 {
        writer.last_id.set(ids::seed());
    }
    region.clear_free();
    for number in (1..=writer.slots.get()).rev() {
        if let Some(slot) = region.slot(number) {
            region.push_free(slot);
        }
    }
    // The first start determines how much room there is.
    writer.limit.set(0);
    region.reader.is_left.publish(0);
}

fn leave() {
    let Some(region) = REGION.get() else { return };
    if PHASE.get() == Phase::Forked || region.writer.depth.get() > 0 {
        // There are guards that later destructors drop, or that are never dropped. The region stays with them.
        return;
    }
    REGION.set(None);
    PHASE.set(Phase::Left);
    region.reader.is_left.publish(1);
    crate::park::wake();
}

/// Returns the threads that got a region since the last scan, which had `seen` this many news.
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

/// Returns the number of starts that found no room, by tree. The tree is zero for starts that would have begun one. Must be called
/// while the queue's count of drops is locked.
pub(crate) fn refused() -> Vec<(u128, u64)> {
    let Some(shared) = SHARED.get() else { return Vec::new() };
    let registry = shared.registry.lock().unwrap_or_else(PoisonError::into_inner);
    registry.all.iter().flat_map(|region| room::refused(region)).collect()
}

/// Makes a region available to the next thread.
pub(super) fn give_back(region: &'static Region) {
    if let Some(shared) = SHARED.get() {
        shared.registry.lock().unwrap_or_else(PoisonError::into_inner).free.push(region);
    }
}
