//! Folds: many similar processes, counted in shards.

use std::collections::BTreeMap;

use monitor_wire::{Error, ErrorKind, Fold, FoldError, Kind, ProcessFolded, ProcessId, WorkerId};
use serde::{Deserialize, Serialize};

use crate::told::Stamp;
use crate::worker::WorkerStatus;

/// Counts of a worker's recording thread, at its highest revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shard {
    /// Worker that counted.
    pub worker: WorkerId,
    /// Number of the thread's shard within the worker.
    pub shard: u64,
    /// Number of earlier reports of this shard.
    pub revision: u64,
    /// Stamp of the event that reported it.
    pub stamp: Stamp,
    /// Parent of the counted processes.
    pub parent_id: Option<ProcessId>,
    /// Kind of the counted processes.
    pub kind: Kind,
    /// Name of the counted processes.
    pub name: String,
    /// The counts.
    pub counts: Fold,
}

/// Keeps the highest revision of each shard, sorted by worker and shard.
pub(crate) fn keep(shards: &mut Vec<Shard>, worker: WorkerId, stamp: Stamp, event: &ProcessFolded) {
    let ProcessFolded { count, running, failed, cancelled, total_ns, min_ns, max_ns, .. } = *event;
    let counts = Fold {
        count,
        running,
        failed,
        cancelled,
        total_ns,
        min_ns,
        max_ns,
        histogram: event.histogram.clone(),
        errors: event.errors.clone(),
    };
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

/// Sums all shards. Also returns true if a lost worker has running processes. Running processes of a worker
/// that went offline count as cancelled.
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
    total.errors = all_errors(shards);
    Some((total, is_lost))
}

/// Returns the error texts of all shards, earliest first.
fn all_errors(shards: &[Shard]) -> Vec<FoldError> {
    let mut by_text = BTreeMap::<&str, FoldError>::new();
    for error in shards.iter().flat_map(|shard| &shard.counts.errors) {
        by_text
            .entry(&error.text)
            .and_modify(|sum| {
                sum.count = sum.count.saturating_add(error.count);
                sum.first_us = sum.first_us.min(error.first_us);
                sum.last_us = sum.last_us.max(error.last_us);
            })
            .or_insert_with(|| error.clone());
    }
    let mut errors: Vec<_> = by_text.into_values().collect();
    // The sort is stable: texts with the same time stay in alphabetical order.
    errors.sort_by_key(|error| error.first_us);
    errors.truncate(Fold::MAX_ERRORS);
    errors
}

/// Returns the error that a fold shows: its distinct texts, one per line. It contains no counts, so that it
/// changes only when a text is added.
pub(crate) fn error(fold: &Fold) -> Option<Error> {
    let message = fold.errors.iter().map(|error| error.text.as_str()).collect::<Vec<_>>().join("\n");
    let error =
        || Error { kind: ErrorKind::from("error"), type_name: None, message, chain: Vec::new(), source: None, code: None, tail: None };
    (!fold.errors.is_empty()).then(error)
}
