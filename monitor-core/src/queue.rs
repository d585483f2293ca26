//! From the monitored threads to the one who drains: unbounded in count, bounded in bytes, never blocking.
//!
//! A start reserves the bytes of its own end, so that an end is never dropped whose start was kept.
//! Bytes are given back only when the drainer says that it has no more need of them ([`Receiver::release`]):
//! what waits for a server that is away counts as well.

use std::collections::HashMap;
use std::mem::size_of;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::own::Own;
use crate::record::{Ended, Fields, Origin, Outcome, Record, Started, Updated, Value};
use crate::switch;
use crate::warn::Warning;

/// Trees whose drops are counted apart; beyond, they count under no tree.
const COUNTED_TREES: usize = 1_000;

static QUEUE: Own<Queue> = Own::new();

struct Queue {
    sender: Sender<Entry>,
    limit: usize,
    used: AtomicUsize,
    parked: AtomicBool,
    waker: Mutex<Option<Waker>>,
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
}

/// The draining end. There is one in a program.
#[derive(Debug)]
pub struct Receiver {
    receiver: mpsc::Receiver<Entry>,
}

/// Opens the queue with room for `limit` bytes; `None` if it is open already.
pub fn open(limit: usize) -> Option<Receiver> {
    let (sender, receiver) = mpsc::channel();
    let queue = Queue {
        sender,
        limit,
        used: AtomicUsize::new(0),
        parked: AtomicBool::new(false),
        waker: Mutex::new(None),
        dropped: Mutex::default(),
    };
    QUEUE.set(queue).then_some(Receiver { receiver })
}

/// Leaves the queue to the parent of a forked child: another thread may have been in the middle of it.
pub(crate) fn forget() {
    QUEUE.forget();
}

/// Queues a start together with the place of its end; `false` when there is no room.
pub(crate) fn started(record: Started) -> bool {
    let Some(queue) = QUEUE.get() else { return false };
    let bytes = start_bytes(&record);
    if !queue.reserve(bytes + END_BYTES) {
        queue.count_drop("process-started", record.root);
        return false;
    }
    queue.push(Record::Started(record), bytes);
    true
}

/// Queues the end of a process whose start was taken. Without room for a failure's words they are left out.
pub(crate) fn ended(mut record: Ended) {
    let Some(queue) = QUEUE.get() else { return };
    let mut bytes = END_BYTES;
    if let Outcome::Failed(failure) = &mut record.outcome {
        let words =
            size_of_val(&**failure) + failure.message.len() + failure.chain.iter().map(|c| c.len() + size_of::<String>()).sum::<usize>();
        if queue.reserve(words) {
            bytes += words;
        } else {
            "(not kept: the buffer was full, see MONITOR_BUFFER_BYTES)".clone_into(&mut failure.message);
            failure.chain.clear();
        }
    }
    queue.push(Record::Ended(record), bytes);
}

/// Queues new fields of a process, or counts them as dropped.
pub(crate) fn updated(record: Updated) {
    let Some(queue) = QUEUE.get() else { return };
    let bytes = size_of::<Entry>() + size_of::<Updated>() + fields_bytes(&record.fields);
    if queue.reserve(bytes) {
        queue.push(Record::Updated(Box::new(record)), bytes);
    } else {
        queue.count_drop("process-updated", record.root);
    }
}

/// What had to be dropped since the program began.
pub fn dropped() -> Vec<(Drop, u64)> {
    QUEUE.get().map_or_else(Vec::new, |queue| {
        let dropped = queue.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        dropped.iter().map(|(drop, count)| (*drop, *count)).collect()
    })
}

impl Receiver {
    /// The next record, if there is one.
    pub fn try_recv(&mut self) -> Option<Entry> {
        self.receiver.try_recv().ok()
    }

    /// The next record, when there is one. Between records nothing wakes the one who waits.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Entry> {
        if let Some(entry) = self.try_recv() {
            return Poll::Ready(entry);
        }
        let Some(queue) = QUEUE.get() else { return Poll::Pending };
        *queue.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
        queue.parked.store(true, Ordering::SeqCst);
        // A record may have come between the first look and the flag.
        if let Some(entry) = self.try_recv() {
            queue.parked.store(false, Ordering::Relaxed);
            return Poll::Ready(entry);
        }
        Poll::Pending
    }

    /// Gives back the bytes of entries that are acknowledged or given up.
    pub fn release(&self, bytes: usize) {
        if let Some(queue) = QUEUE.get() {
            queue.used.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
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

    fn push(&self, record: Record, bytes: usize) {
        // The receiver lives as long as the program; if it is gone nobody wants the record.
        if self.sender.send(Entry { record, bytes }).is_err() {
            return;
        }
        // Pairs with the flag in `poll_recv`: either it sees the record, or this sees the flag.
        std::sync::atomic::fence(Ordering::SeqCst);
        if self.parked.load(Ordering::Relaxed) && self.parked.swap(false, Ordering::SeqCst) {
            let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(waker) = waker {
                wake(waker);
            }
        }
    }

    #[cold]
    fn count_drop(&self, event: &'static str, root: u128) {
        let mut dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        let own = Drop { event, root: Some(root) };
        let key = if dropped.contains_key(&own) || dropped.len() < COUNTED_TREES { own } else { Drop { event, root: None } };
        *dropped.entry(key).or_default() += 1;
    }
}

/// The waker is the drainer's. One that panics, as tokio's does when the program has closed its files, must not take the
/// monitored function along.
fn wake(waker: Waker) {
    static WARNING: Warning = Warning::new();

    if catch_unwind(AssertUnwindSafe(|| waker.wake())).is_err() && switch::turn_off() {
        WARNING.give(|| {
            "what is recorded can't be handed on, nothing more is recorded: has the program closed files that are not its own?".to_owned()
        });
    }
}

const END_BYTES: usize = size_of::<Entry>();

fn start_bytes(record: &Started) -> usize {
    let named = match &record.origin {
        Origin::Site(_) => 0,
        Origin::Named(named) => size_of_val(&**named) + named.name.len(),
    };
    let extra = record
        .extra
        .as_ref()
        .map_or(0, |extra| size_of_val(&**extra) + extra.batch.as_ref().map_or(0, String::len) + fields_bytes(&extra.fields));
    size_of::<Entry>() + named + extra
}

fn fields_bytes(fields: &Fields) -> usize {
    fields
        .iter()
        .map(|(key, value)| size_of_val(key) + size_of_val(value) + key.len() + if let Value::Text(text) = value { text.len() } else { 0 })
        .sum()
}
