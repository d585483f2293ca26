//! The way out for what is rare or large — processes by name, marks, fields, the words of a failure — and the bound of all
//! that waits, the rings included. Unbounded in count, bounded in bytes, never blocking.
//!
//! A start reserves the bytes of its own end, so that an end is never dropped whose start was kept.
//! Bytes are given back only when the one who drains says that it has no more need of them ([`Receiver::release`]):
//! what waits for a server that is away counts as well.

use std::collections::HashMap;
use std::mem::size_of;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Mutex, PoisonError};

pub use crate::clock::Clock;
pub use crate::drain::{Mark, Receiver, Taken};
use crate::keep::{Keeper, Memory, Queued, Slip};
use crate::own::Own;
use crate::record::{Ended, Failure, Fields, Logged, Origin, Outcome, Record, StartExtra, Started, Updated, Value};
use crate::{clock, fold, inside, park, ring};

/// Trees whose drops are counted apart; beyond, they count under no tree.
const COUNTED_TREES: usize = 1_000;

static QUEUE: Own<Queue> = Own::new();

struct Queue {
    keeper: &'static dyn Keeper,
    sender: Sender<Sent>,
    failures: Sender<Failed>,
    handed_on: Sender<u64>,
    limit: usize,
    used: AtomicUsize,
    /// Part of `used` that is rings.
    rings: AtomicUsize,
    dropped: Mutex<HashMap<Drop, u64>>,
}

/// A record and the bytes that it holds.
#[derive(Debug)]
pub struct Entry {
    /// What was recorded.
    pub record: Record,
    /// Bytes to [`Receiver::release`] once it is acknowledged or given up.
    pub bytes: usize,
}

/// What kind of record was dropped, and in which tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Drop {
    /// `process-started` or `process-updated`, as on the wire.
    pub event: &'static str,
    /// The tree, or none once more than 1,000 are counted.
    pub root: Option<u128>,
    /// `memory` for want of room, `damaged` for what could not be read.
    pub reason: &'static str,
}

/// A record on its way, with its times in ticks; in the record itself they are filled in by the one who drains.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) record: Record,
    pub(crate) bytes: usize,
    /// Ends: when the process began.
    pub(crate) begun: u64,
    pub(crate) at: u64,
    /// Its number, given by the keeper.
    pub(crate) place: u64,
}

/// The words of a failure whose end is in a ring.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) id: u64,
    pub(crate) failure: Box<Failure>,
    pub(crate) bytes: usize,
    /// Its number, given by the keeper.
    pub(crate) place: u64,
}

/// Opens the queue with room for `limit` bytes, kept in memory; `None` if it is open already.
pub fn open(limit: usize) -> Option<Receiver> {
    open_with(limit, &Memory)
}

/// The same, with the rings and what is queued kept by `keeper`.
pub fn open_with(limit: usize, keeper: &'static dyn Keeper) -> Option<Receiver> {
    let ((sender, receiver), (failures, failed), (handed_on, ids)) = (mpsc::channel(), mpsc::channel(), mpsc::channel());
    let queue = Queue {
        keeper,
        sender,
        failures,
        handed_on,
        limit,
        used: AtomicUsize::new(0),
        rings: AtomicUsize::new(0),
        dropped: Mutex::default(),
    };
    if !QUEUE.set(queue) {
        return None;
    }
    clock::set_up();
    park::set_up();
    ring::set_up();
    Some(Receiver::new(receiver, failed, ids))
}

/// Leaves the queue to the parent of a forked child: another thread may have been in the middle of it.
pub(crate) fn forget() {
    QUEUE.forget();
    park::forget();
    ring::forget();
}

/// Queues a start together with the place of its end; `false` when there is no room.
pub(crate) fn started(record: Started, at: u64) -> bool {
    let Some(queue) = QUEUE.get() else { return false };
    let bytes = start_bytes(&record);
    if !queue.reserve(bytes + RECORD_BYTES) {
        queue.count_drop("process-started", record.root);
        return false;
    }
    queue.push(Record::Started(record), bytes, at, at);
    true
}

/// The ids of a process are known to others from here on: it is told singly, if it came by the queue.
#[cold]
pub(crate) fn handed_on(id: u64) {
    if let Some(queue) = QUEUE.get()
        && fold::after() != u64::MAX
    {
        let _inside = inside::enter();
        hold(HANDED_ON_BYTES);
        // The receiver lives as long as the program.
        let _ = queue.handed_on.send(id);
    }
}

/// Queues a start that was admitted by a ring before, together with the place of its end.
pub(crate) fn started_before(record: Started, at: u64) {
    let Some(queue) = QUEUE.get() else { return };
    let bytes = start_bytes(&record);
    queue.used.fetch_add(bytes + RECORD_BYTES, Ordering::Relaxed);
    let id = record.id;
    queue.push(Record::Started(record), bytes, at, at);
    // Whether somebody knows its ids is not known any more.
    handed_on(id);
}

/// Queues the end of a process whose start was taken; `begun` is 0 if it isn't known here. Without room for a failure's words they
/// are left out.
pub(crate) fn ended(mut record: Ended, begun: u64, at: u64) {
    let Some(queue) = QUEUE.get() else { return };
    let mut bytes = RECORD_BYTES;
    if let Outcome::Failed(failure) = &mut record.outcome {
        let words = failure_bytes(failure);
        if queue.reserve(words) {
            bytes += words;
        } else {
            NOT_KEPT.clone_into(&mut failure.message);
            failure.chain.clear();
        }
    }
    queue.push(Record::Ended(record), bytes, begun, at);
}

/// Queues the words of a failure, before its end is recorded. Without room they are left out.
pub(crate) fn failed(id: u64, failure: Failure) {
    let Some(queue) = QUEUE.get() else { return };
    let bytes = size_of::<Failed>() + failure_bytes(&failure);
    if queue.reserve(bytes) {
        let _inside = inside::enter();
        let encoded = queue.keeper.encode(Queued::Failure(&failure));
        let mut failed = Some(Failed { id, failure: Box::new(failure), bytes, place: 0 });
        queue.keeper.append(Slip::Failure { id }, &encoded, &mut |place| {
            if let Some(failed) = failed.take() {
                // The receiver lives as long as the program; if it is gone nobody wants the words.
                let _ = queue.failures.send(Failed { place, ..failed });
            }
        });
    }
}

/// Queues new fields of a process, or counts them as dropped.
pub(crate) fn updated(record: Updated, at: u64) {
    let Some(queue) = QUEUE.get() else { return };
    let bytes = RECORD_BYTES + size_of::<Updated>() + fields_bytes(&record.fields);
    if queue.reserve(bytes) {
        queue.push(Record::Updated(Box::new(record)), bytes, at, at);
    } else {
        queue.count_drop("process-updated", record.root);
    }
}

/// Queues a line of a process's log, or counts it as dropped.
pub(crate) fn logged(record: Logged, at: u64) {
    let Some(queue) = QUEUE.get() else { return };
    let bytes = RECORD_BYTES + size_of::<Logged>() + record.message.len();
    if queue.reserve(bytes) {
        queue.push(Record::Logged(Box::new(record)), bytes, at, at);
    } else {
        queue.count_drop("process-logged", record.root);
    }
}

/// What had to be dropped since the program began.
pub fn dropped() -> Vec<(Drop, u64)> {
    QUEUE.get().map_or_else(Vec::new, |queue| {
        let counted = queue.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        let mut dropped = counted.clone();
        for (root, count) in ring::refused() {
            add_drops(&mut dropped, "process-started", root, count);
        }
        drop(counted);
        dropped.into_iter().collect()
    })
}

/// Room for a ring, within the part of the bound that rings may have.
pub(crate) fn reserve_ring(bytes: usize) -> bool {
    let Some(queue) = QUEUE.get() else { return false };
    let limit = queue.limit / 4 * 3;
    // Where memory has ended many ask at once: who only looks holds nobody up.
    if queue.rings.load(Ordering::Relaxed) + bytes > limit || queue.used.load(Ordering::Relaxed) + bytes > queue.limit {
        return false;
    }
    let before = queue.rings.fetch_add(bytes, Ordering::Relaxed);
    if before + bytes <= limit && queue.reserve(bytes) {
        return true;
    }
    queue.rings.fetch_sub(bytes, Ordering::Relaxed);
    false
}

/// Gives back what [`reserve_ring`] reserved.
pub(crate) fn release_ring(bytes: usize) {
    if let Some(queue) = QUEUE.get() {
        queue.rings.fetch_sub(bytes, Ordering::Relaxed);
        queue.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Whether so many bytes have room beside the rings.
pub fn has_room(bytes: usize) -> bool {
    QUEUE.get().is_some_and(|queue| queue.rings.load(Ordering::Relaxed) + bytes < queue.limit)
}

/// Whether a good part of what there may be is in use: then what waits should not wait for more.
pub fn is_filling() -> bool {
    QUEUE.get().is_some_and(|queue| queue.used.load(Ordering::Relaxed) > queue.limit / 4)
}

/// So many bytes more count until they are [`release`]d, room or no room.
pub fn hold(bytes: usize) {
    if let Some(queue) = QUEUE.get() {
        queue.used.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Gives back what records held that are acknowledged or given up, or what was [`hold`].
pub fn release(bytes: usize) {
    if let Some(queue) = QUEUE.get() {
        queue.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Counts as many starts of a tree that found no room in a ring, zero for no tree. While `replace` is called nobody asks for
/// the [`dropped`].
pub(crate) fn count_refused(root: u128, count: u64, replace: impl FnOnce()) {
    if let Some(queue) = QUEUE.get() {
        let _inside = inside::enter();
        let mut dropped = queue.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        if count > 0 {
            add_drops(&mut dropped, "process-started", root, count);
        }
        replace();
    }
}

/// A record that was damaged in memory. Whoever reads that after the program's end finds and counts it as well, until then.
#[cold]
pub(crate) fn count_unreadable() {
    if let Some(queue) = QUEUE.get() {
        let mut dropped = queue.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        *dropped.entry(Drop { event: "process-ended", root: None, reason: "damaged" }).or_default() += 1;
    }
}

/// Who keeps the rings.
pub(crate) fn keeper() -> &'static dyn Keeper {
    QUEUE.get().map_or(&Memory, |queue| queue.keeper)
}

impl Queue {
    fn reserve(&self, bytes: usize) -> bool {
        let before = self.used.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes <= self.limit {
            return true;
        }
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        false
    }

    fn push(&self, record: Record, bytes: usize, begun: u64, at: u64) {
        let _inside = inside::enter();
        let encoded = self.keeper.encode(Queued::Record(&record));
        let mut sent = Some(Sent { record, bytes, begun, at, place: 0 });
        self.keeper.append(Slip::Record { begun, at }, &encoded, &mut |place| {
            if let Some(sent) = sent.take() {
                // The receiver lives as long as the program; if it is gone nobody wants the record.
                let _ = self.sender.send(Sent { place, ..sent });
            }
        });
        park::wake();
    }

    #[cold]
    fn count_drop(&self, event: &'static str, root: u128) {
        self.keeper.dropped(event);
        let mut dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        add_drops(&mut dropped, event, root, 1);
    }
}

/// Beyond so many trees they count under none, as does the root zero.
fn add_drops(dropped: &mut HashMap<Drop, u64>, event: &'static str, root: u128, count: u64) {
    let own = Drop { event, root: Some(root), reason: "memory" };
    let is_apart = root != 0 && (dropped.contains_key(&own) || dropped.len() < COUNTED_TREES);
    *dropped.entry(if is_apart { own } else { Drop { root: None, ..own } }).or_default() += count;
}

/// What stands for words that found no room.
pub(crate) const NOT_KEPT: &str = "(not kept: the buffer was full, see MONITOR_BUFFER_BYTES)";

/// What it holds that an id is known to others, until that is drained.
pub(crate) const HANDED_ON_BYTES: usize = 2 * size_of::<u64>();
/// What a record holds that has no words of its own.
pub(crate) const RECORD_BYTES: usize = size_of::<Sent>();

fn start_bytes(record: &Started) -> usize {
    let named = match &record.origin {
        Origin::Site(_) => 0,
        Origin::Named(named) => size_of_val(&**named) + named.name.len(),
    };
    let extra = record.extra.as_ref().map_or(0, |extra| {
        size_of_val(&**extra) + extra.batch.as_ref().map_or(0, String::len) + fields_bytes(&extra.fields) + links_bytes(extra)
    });
    RECORD_BYTES + named + extra
}

fn failure_bytes(failure: &Failure) -> usize {
    size_of_val(failure) + failure.message.len() + failure.chain.iter().map(|c| c.len() + size_of::<String>()).sum::<usize>()
}

fn links_bytes(extra: &StartExtra) -> usize {
    extra.links.iter().map(|(other, relation)| size_of_val(other) + size_of::<String>() + relation.len()).sum()
}

fn fields_bytes(fields: &Fields) -> usize {
    fields
        .iter()
        .map(|(key, value)| size_of_val(key) + size_of_val(value) + key.len() + if let Value::Text(text) = value { text.len() } else { 0 })
        .sum()
}
