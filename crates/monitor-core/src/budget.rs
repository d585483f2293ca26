//! The bound of all that waits for the one who drains, rings included, and the count of what found no room.
//!
//! Bytes are given back only when nobody needs what they hold any more: what waits for a server that is away counts as well.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::inside;
use crate::own::Own;

/// Trees whose drops are counted apart; beyond, they count under no tree.
const COUNTED_TREES: usize = 1_000;

static BUDGET: Own<Budget> = Own::new();

struct Budget {
    limit: usize,
    used: AtomicUsize,
    /// Part of `used` that is rings.
    rings: AtomicUsize,
    dropped: Mutex<HashMap<DropKey, u64>>,
}

/// What kind of record was dropped, and in which tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DropKey {
    /// `process-started` or `process-updated`, as on the wire.
    pub event: &'static str,
    /// The tree, or none once more than 1,000 are counted.
    pub root: Option<u128>,
    /// `memory` for want of room, `damaged` for what could not be read.
    pub reason: &'static str,
}

/// Allows `limit` bytes. Returns false if a limit is set already.
pub(crate) fn open(limit: usize) -> bool {
    BUDGET.set(Budget { limit, used: AtomicUsize::new(0), rings: AtomicUsize::new(0), dropped: Mutex::default() })
}

/// Leaves it to the parent of a forked child: another thread may hold its lock.
pub(crate) fn forget() {
    BUDGET.forget();
}

/// Takes room for so many bytes. Returns false if there is none.
pub(crate) fn reserve(bytes: usize) -> bool {
    BUDGET.get().is_some_and(|budget| budget.reserve(bytes))
}

/// Takes room for a ring, within the three quarters of the bound that rings may have.
pub(crate) fn reserve_ring(bytes: usize) -> bool {
    let Some(budget) = BUDGET.get() else { return false };
    let limit = budget.limit / 4 * 3;
    // Where memory has ended many ask at once: who only looks holds nobody up.
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

/// Gives back what [`reserve_ring`] reserved.
pub(crate) fn release_ring(bytes: usize) {
    if let Some(budget) = BUDGET.get() {
        budget.rings.fetch_sub(bytes, Ordering::Relaxed);
        budget.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Returns true if so many bytes have room beside the rings.
pub fn has_room(bytes: usize) -> bool {
    BUDGET.get().is_some_and(|budget| budget.rings.load(Ordering::Relaxed) + bytes < budget.limit)
}

/// Returns true if a good part of what there may be is in use: then what waits should not wait for more.
pub fn is_filling() -> bool {
    BUDGET.get().is_some_and(|budget| budget.used.load(Ordering::Relaxed) > budget.limit / 4)
}

/// Counts so many bytes more until they are [`release`]d, room or no room.
pub fn hold(bytes: usize) {
    if let Some(budget) = BUDGET.get() {
        budget.used.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Gives back what records held that are acknowledged or given up, or what was [`hold`].
pub fn release(bytes: usize) {
    if let Some(budget) = BUDGET.get() {
        budget.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Counts a record that found no room.
#[cold]
pub(crate) fn count_drop(event: &'static str, root: u128) {
    count(|dropped| add(dropped, event, root, 1));
}

/// Counts as many starts of a tree that found no room in a ring, of no tree for zero. While `replace` is called nobody asks for
/// what was [`dropped`].
pub(crate) fn count_refused(root: u128, starts: u64, replace: &mut dyn FnMut()) {
    let _inside = inside::enter();
    count(|dropped| {
        if starts > 0 {
            add(dropped, "process-started", root, starts);
        }
        replace();
    });
}

/// Counts a record that was damaged in memory. Whoever reads that after the program's end finds and counts it as well, until then.
#[cold]
pub(crate) fn count_unreadable() {
    count(|dropped| *dropped.entry(DropKey { event: "process-ended", root: None, reason: "damaged" }).or_default() += 1);
}

/// All that was dropped since the program began, together with the starts by tree that `refused` says are counted elsewhere so far.
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

/// Beyond so many trees they count under none, as does the root zero.
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
