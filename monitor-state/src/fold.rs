//! Folds: many like processes, counted by shards.

use std::collections::BTreeMap;

use monitor_wire::{Fold, Kind, ProcessFolded, ProcessId, WorkerId};
use serde::{Deserialize, Serialize};

use crate::told::Stamp;
use crate::worker::WorkerStatus;

/// What one recording thread of one worker counted, at its highest revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shard {
    /// Whose.
    pub worker: WorkerId,
    /// Which of its threads.
    pub shard: u64,
    /// How often it was told before.
    pub revision: u64,
    /// By which event.
    pub stamp: Stamp,
    /// The parent of what is counted.
    pub parent_id: Option<ProcessId>,
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// The counts.
    pub counts: Fold,
}

/// Keeps the highest revision of each shard, ascending by (worker, shard).
pub(crate) fn keep(shards: &mut Vec<Shard>, worker: WorkerId, stamp: Stamp, event: &ProcessFolded) {
    let ProcessFolded { count, running, failed, cancelled, total_ns, min_ns, max_ns, .. } = *event;
    let counts = Fold { count, running, failed, cancelled, total_ns, min_ns, max_ns, histogram: event.histogram.clone() };
    let new = Shard {
        worker,
        shard: event.shard,
        revision: event.revision,
        stamp,
        parent_id: event.parent_id,
        kind: event.kind.clone(),
        name: event.name.clone(),
        counts,
    };
    keep_shard(shards, new);
}

/// Keeps the higher revision of a shard.
pub(crate) fn keep_shard(shards: &mut Vec<Shard>, new: Shard) {
    match shards.binary_search_by_key(&(new.worker, new.shard), |old| (old.worker, old.shard)) {
        Err(place) => shards.insert(place, new),
        Ok(place) if (new.revision, new.stamp) > (shards[place].revision, shards[place].stamp) => shards[place] = new,
        Ok(_) => {}
    }
}

/// All shards together, and whether a lost worker left some of it open. What a worker left open when it went offline is cancelled.
pub(crate) fn sum(shards: &[Shard], status: &mut dyn FnMut(WorkerId) -> WorkerStatus) -> Option<(Fold, bool)> {
    let mut is_lost = false;
    let mut histogram = BTreeMap::<u32, u64>::new();
    let mut total = shards.first()?.counts.clone();
    for (index, shard) in shards.iter().enumerate() {
        let counts = &shard.counts;
        let (mut running, mut cancelled) = (counts.running, counts.cancelled);
        if running > 0 {
            match status(shard.worker) {
                WorkerStatus::Online => {}
                WorkerStatus::Lost => is_lost = true,
                WorkerStatus::Offline { .. } => (running, cancelled) = (0, cancelled.saturating_add(running)),
            }
        }
        for (bucket, count) in &counts.histogram {
            let sum = histogram.entry(*bucket).or_default();
            *sum = sum.saturating_add(*count);
        }
        if index == 0 {
            (total.running, total.cancelled) = (running, cancelled);
            continue;
        }
        total.count = total.count.saturating_add(counts.count);
        total.running = total.running.saturating_add(running);
        total.failed = total.failed.saturating_add(counts.failed);
        total.cancelled = total.cancelled.saturating_add(cancelled);
        total.total_ns = total.total_ns.saturating_add(counts.total_ns);
        total.min_ns = total.min_ns.into_iter().chain(counts.min_ns).min();
        total.max_ns = total.max_ns.into_iter().chain(counts.max_ns).max();
    }
    total.histogram = histogram.into_iter().collect();
    Some((total, is_lost))
}
