//! The queue for rare or large records: processes by name, batch marks, fields, log lines, failure messages. It is unbounded in count,
//! bounded in bytes by the [`budget`](crate::budget), and never blocks.
//!
//! A start reserves the bytes of its own end, so that the end of a recorded start is never dropped.

use std::mem::size_of;
use std::sync::mpsc::{self, Receiver, Sender};

use crate::context::Context;
use crate::keep::{Keeper, Memory, Queued, Slip};
use crate::own::Own;
use crate::record::{Ended, Failure, Fields, Logged, NOT_KEPT, Origin, Outcome, Progressed, Record, Started, Tasked, Updated, Value};
use crate::{budget, fold, inside, park, ring};

static QUEUE: Own<Queue> = Own::new();

struct Queue {
    keeper: &'static dyn Keeper,
    sender: Sender<Sent>,
    failures: Sender<Failed>,
    handed_on: Sender<u64>,
}

/// The receiving ends of the queue.
#[derive(Debug)]
pub(crate) struct Ends {
    pub(crate) sent: Receiver<Sent>,
    pub(crate) failed: Receiver<Failed>,
    /// Ids that the program has read.
    pub(crate) handed_on: Receiver<u64>,
}

/// A record and its size.
#[derive(Debug)]
pub struct Entry {
    /// The record.
    pub record: Record,
    /// Bytes to [`release`](crate::queue::Receiver::release) when the record is acknowledged or given up.
    pub bytes: usize,
}

/// A queued record with its times in ticks. The drainer sets the times in the record itself.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) record: Record,
    pub(crate) bytes: usize,
    /// Start of the process, for ends.
    pub(crate) begun: u64,
    pub(crate) at: u64,
    /// Number assigned by the keeper.
    pub(crate) place: u64,
}

/// The message of a failure whose end is in a ring.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) id: u64,
    pub(crate) failure: Box<Failure>,
    pub(crate) bytes: usize,
    /// Number assigned by the keeper.
    pub(crate) place: u64,
}

/// Opens the queue. `keeper` stores the queued records.
pub(crate) fn open(keeper: &'static dyn Keeper) -> Ends {
    let ((sender, sent), (failures, failed), (sender_of_ids, handed_on)) = (mpsc::channel(), mpsc::channel(), mpsc::channel());
    QUEUE.set(Queue { keeper, sender, failures, handed_on: sender_of_ids });
    Ends { sent, failed, handed_on }
}

/// Removes the queue in a forked child, because another thread of the parent may have been using it.
pub(crate) fn forget() {
    QUEUE.forget();
    budget::forget();
}

/// Queues a start and reserves the room of its end. Returns false if there is no room.
pub(crate) fn started(record: Started, at: u64) -> bool {
    let Some(queue) = QUEUE.get() else { return false };
    let bytes = start_bytes(&record);
    if !budget::reserve(bytes + RECORD_BYTES) {
        queue.count_drop("process-started", record.root);
        return false;
    }
    queue.push(Record::Started(record), bytes, at, at);
    true
}

/// Counts a start of this tree that is not recorded. `root` is zero if it would have begun a tree.
#[cold]
pub(crate) fn refuse(root: u128) {
    if let Some(queue) = QUEUE.get() {
        queue.count_drop("process-started", root);
    }
}

/// Notifies the drainer that the program has read the ids of a process. If the process was queued, it is then recorded individually.
#[cold]
pub(crate) fn handed_on(id: u64) {
    if let Some(queue) = QUEUE.get()
        && fold::after() != u64::MAX
    {
        let _inside = inside::enter();
        budget::hold(HANDED_ON_BYTES);
        // The receiver lives as long as the program.
        let _ = queue.handed_on.send(id);
    }
}

/// Queues a start that a ring has already admitted, and reserves the room of its end.
pub(crate) fn started_before(record: Started, at: u64) {
    let Some(queue) = QUEUE.get() else { return };
    let bytes = start_bytes(&record);
    budget::hold(bytes + RECORD_BYTES);
    let id = record.id;
    queue.push(Record::Started(record), bytes, at, at);
    // It is unknown if the program has read the ids.
    handed_on(id);
}

/// Queues the end of a process whose start was recorded. `begun` is 0 if it is unknown. If there is no room for a failure message or a
/// task's result, it is omitted.
pub(crate) fn ended(mut record: Ended, begun: u64, at: u64) {
    let Some(queue) = QUEUE.get() else { return };
    let mut bytes = RECORD_BYTES;
    if let Outcome::Failed(failure) = &mut record.outcome {
        let words = failure.bytes();
        if budget::reserve(words) {
            bytes += words;
        } else {
            NOT_KEPT.clone_into(&mut failure.message);
            failure.chain.clear();
        }
    }
    if let Some(result) = record.extra.as_mut().and_then(|extra| extra.task.as_mut()).map(|task| &mut task.result) {
        let words = result.as_ref().map_or(0, String::len);
        if budget::reserve(words) {
            bytes += words;
        } else {
            *result = None;
        }
    }
    queue.push(Record::Ended(record), bytes, begun, at);
}

/// Queues the message of a failure, before its end is recorded. If there is no room, it is omitted.
fn failed(id: u64, failure: Failure) {
    let Some(queue) = QUEUE.get() else { return };
    let bytes = size_of::<Failed>() + failure.bytes();
    if budget::reserve(bytes) {
        let _inside = inside::enter();
        let encoded = queue.keeper.encode(Queued::Failure(&failure));
        let mut failed = Some(Failed { id, failure: Box::new(failure), bytes, place: 0 });
        queue.keeper.append(Slip::Failure { id }, &encoded, &mut |place| {
            if let Some(failed) = failed.take() {
                // The receiver lives as long as the program. If it was dropped, the message is not needed.
                let _ = queue.failures.send(Failed { place, ..failed });
            }
        });
    }
}

/// Queues new fields of a process, or counts them as dropped.
pub(crate) fn updated(record: Updated, at: u64) {
    let Some(queue) = QUEUE.get() else { return };
    let bytes = RECORD_BYTES + size_of::<Updated>() + record.name.as_ref().map_or(0, String::len) + fields_bytes(&record.fields);
    let bytes = bytes + links_bytes(&record.links);
    if budget::reserve(bytes) {
        queue.push(Record::Updated(Box::new(record)), bytes, at, at);
    } else {
        queue.count_drop("process-updated", record.root);
    }
}

/// Queues a log line of a process, or counts it as dropped.
pub(crate) fn logged(record: Logged, at: u64) {
    let Some(queue) = QUEUE.get() else { return };
    let bytes = RECORD_BYTES + size_of::<Logged>() + record.message.len() + fields_bytes(&record.fields);
    if budget::reserve(bytes) {
        queue.push(Record::Logged(Box::new(record)), bytes, at, at);
    } else {
        queue.count_drop("process-logged", record.root);
    }
}

/// Queues a progress report, or counts it as dropped.
pub(crate) fn progressed(record: Progressed, at: u64) {
    let Some(queue) = QUEUE.get() else { return };
    let bytes = RECORD_BYTES + size_of::<Progressed>();
    if budget::reserve(bytes) {
        queue.push(Record::Progressed(Box::new(record)), bytes, at, at);
    } else {
        queue.count_drop("process-progressed", record.root);
    }
}

/// Queues a step of a task in its queue, or counts it as dropped.
pub(crate) fn tasked(record: Tasked, at: u64) {
    let Some(queue) = QUEUE.get() else { return };
    let bytes = RECORD_BYTES + record.bytes();
    if budget::reserve(bytes) {
        queue.push(Record::Task(Box::new(record)), bytes, at, at);
    } else {
        queue.count_drop(record.event(), record.root);
    }
}

/// Provides the rings with room within the budget, and with the queue for their failure messages.
pub(crate) struct ForRings;

impl ring::Host for ForRings {
    fn keeper(&self) -> &'static dyn Keeper {
        QUEUE.get().map_or(&Memory, |queue| queue.keeper)
    }

    fn reserve(&self, bytes: usize) -> bool {
        budget::reserve_ring(bytes)
    }

    fn release(&self, bytes: usize) {
        budget::release_ring(bytes);
    }

    fn count_refused(&self, root: u128, count: u64, replace: &mut dyn FnMut()) {
        budget::count_refused(root, count, replace);
    }

    fn count_unreadable(&self) {
        budget::count_unreadable();
    }

    fn keep_words(&self, id: u64, failure: Failure) {
        failed(id, failure);
    }
}

impl Queue {
    fn push(&self, record: Record, bytes: usize, begun: u64, at: u64) {
        let _inside = inside::enter();
        let encoded = self.keeper.encode(Queued::Record(&record));
        let mut sent = Some(Sent { record, bytes, begun, at, place: 0 });
        self.keeper.append(Slip::Record { begun, at }, &encoded, &mut |place| {
            if let Some(sent) = sent.take() {
                // The receiver lives as long as the program. If it was dropped, the record is not needed.
                let _ = self.sender.send(Sent { place, ..sent });
            }
        });
        park::wake();
    }

    #[cold]
    fn count_drop(&self, event: &'static str, root: u128) {
        self.keeper.dropped(event);
        budget::count_drop(event, root);
    }
}

/// Memory for an id that was read, until it is drained.
pub(crate) const HANDED_ON_BYTES: usize = 2 * size_of::<u64>();
/// Memory for a record without texts.
pub(crate) const RECORD_BYTES: usize = size_of::<Sent>();

fn start_bytes(record: &Started) -> usize {
    let named = match &record.origin {
        Origin::Site(_) => 0,
        Origin::Named(named) => size_of_val(&**named) + named.name.len(),
    };
    let extra = record.extra.as_ref().map_or(0, |extra| {
        size_of_val(&**extra) + extra.batch.as_ref().map_or(0, String::len) + fields_bytes(&extra.fields) + links_bytes(&extra.links)
    });
    RECORD_BYTES + named + extra
}

fn links_bytes(links: &[(Context, String)]) -> usize {
    links.iter().map(|(other, relation)| size_of_val(other) + size_of::<String>() + relation.len()).sum()
}

fn fields_bytes(fields: &Fields) -> usize {
    fields
        .iter()
        .map(|(key, value)| size_of_val(key) + size_of_val(value) + key.len() + if let Value::Text(text) = value { text.len() } else { 0 })
        .sum()
}
