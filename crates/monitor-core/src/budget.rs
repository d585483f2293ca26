//! The limit on the memory of all records that wait for the drainer, including rings, and the counts of records without room.
//!
//! Bytes are released only when the records are no longer needed, so records that wait for an unreachable server count too.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::inside;
use crate::own::Own;

/// Maximum number of trees whose drops are counted separately. Drops of further trees are counted without a tree.
const COUNTED_TREES: usize = 1_000;

static BUDGET: Own<Budget> = Own::new();

struct Budget {
    limit: usize,
    used: AtomicUsize,
    /// Part of `used` that is allocated to rings.
    rings: AtomicUsize,
    dropped: Mutex<HashMap<DropKey, u64>>,
}

/// Kind and tree of dropped records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DropKey {
    /// Event type on the wire: `process-started` or `process-updated`.
    pub event: &'static str,
    /// Id of the tree. `None` if more than 1,000 trees have drops.
    pub root: Option<u128>,
    /// `memory` if there was no room, `damaged` if the record could not be read.
    pub reason: &'static str,
}

/// Sets the limit. Returns false if a limit is already set.
pub(crate) fn open(limit: usize) -> bool {
    BUDGET.set(Budget { limit, used: AtomicUsize::new(0), rings: AtomicUsize::new(0), dropped: Mutex::default() })
}

/// Removes the budget in a forked child, because another thread of the parent may have held its lock.
pub(crate) fn forget() {
    BUDGET.forget();
}

/// Reserves room for `bytes` bytes. Returns false if there is none.
pub(crate) fn reserve(bytes: usize) -> bool {
    BUDGET.get().is_some_and(|budget| budget.reserve(bytes))
}

/// Reserves room for a ring, within three quarters of the limit.
pub(crate) fn reserve_ring(bytes: usize) -> bool {
    let Some(budget) = BUDGET.get() else { return false };
    let limit = budget.limit / 4 * 3;
    // When memory is exhausted, many threads call this at once. Check with loads first, which don't contend.
    if budget.rings.load(Ordering::Relaxed) + bytes > limit || budget.used.load(Ordering::Relaxed) + bytes > budget.limit {
        return false;
    }
    let before = budget.rings.fetch_add(bytes, Ordering::Relaxed);
    if before + bytes <= limit && budget.reserve(bytes) {
        return true;
    }
    budget.rings.fetch_sub(bytes, Ordering::Relaxed);
    false
}

/// Releases a reservation of [`reserve_ring`].
pub(crate) fn release_ring(bytes: usize) {
    if let Some(budget) = BUDGET.get() {
        budget.rings.fetch_sub(bytes, Ordering::Relaxed);
        budget.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Returns true if `bytes` bytes fit in addition to the rings.
pub fn has_room(bytes: usize) -> bool {
    BUDGET.get().is_some_and(|budget| budget.rings.load(Ordering::Relaxed) + bytes < budget.limit)
}

/// Returns true if more than a quarter of the limit is used. The drainer should not wait for more records then.
pub fn is_filling() -> bool {
    BUDGET.get().is_some_and(|budget| budget.used.load(Ordering::Relaxed) > budget.limit / 4)
}

/// Counts `bytes` bytes as used until they are [`release`]d, even beyond the limit.
pub fn hold(bytes: usize) {
    if let Some(budget) = BUDGET.get() {
        budget.used.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Releases the bytes of records that are acknowledged or given up, and bytes counted by [`hold`].
pub fn release(bytes: usize) {
    if let Some(budget) = BUDGET.get() {
        budget.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Counts a record without room.
#[cold]
pub(crate) fn count_drop(event: &'static str, root: u128) {
    count(|dropped| add(dropped, event, root, 1));
}

/// Counts starts of a tree that found no room in a ring; `root` is zero for no tree. `replace` is called under the lock, so that
/// [`dropped`] sees either the old counter or the new count.
pub(crate) fn count_refused(root: u128, starts: u64, replace: &mut dyn FnMut()) {
    let _inside = inside::enter();
    count(|dropped| {
        if starts > 0 {
            add(dropped, "process-started", root, starts);
        }
        replace();
    });
}

/// Counts a record that was damaged in memory. A program that reads the rings after this program's end finds and counts it as well.
#[cold]
pub(crate) fn count_unreadable() {
    count(|dropped| *dropped.entry(DropKey { event: "process-ended", root: None, reason: "damaged" }).or_default() += 1);
}

/// Returns everything that was dropped since the start of the program. `refused` returns the starts by tree
/// that are counted elsewhere so far.
pub(crate) fn dropped(refused: impl FnOnce() -> Vec<(u128, u64)>) -> Vec<(DropKey, u64)> {
    BUDGET.get().map_or_else(Vec::new, |budget| {
        let counted = budget.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        let mut dropped = counted.clone();
        for (root, count) in refused() {
            add(&mut dropped, "process-started", root, count);
        }
        drop(counted);
        dropped.into_iter().collect()
    })
}

fn count(change: impl FnOnce(&mut HashMap<DropKey, u64>)) {
    if let Some(budget) = BUDGET.get() {
        change(&mut budget.dropped.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Adds to a count. Beyond the maximum number of trees, and for the root zero, drops are counted without a tree.
fn add(dropped: &mut HashMap<DropKey, u64>, event: &'static str, root: u128, count: u64) {
    let own = DropKey { event, root: Some(root), reason: "memory" };
    let is_apart = root != 0 && (dropped.contains_key(&own) || dropped.len() < COUNTED_TREES);
    *dropped.entry(if is_apart { own } else { DropKey { root: None, ..own } }).or_default() += count;
}

impl Budget {
    fn reserve(&self, bytes: usize) -> bool {
        let before = self.used.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes <= self.limit {
            return true;
        }
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        false
    }
}
