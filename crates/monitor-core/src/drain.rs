//! The draining end: merges the records of the queue and of the rings into one stream.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::mpsc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::budget::{self, DropKey};
use crate::clock::{self, Calibration, Clock};
use crate::error_texts::{ErrorTexts, Failures};
use crate::keep::{Keeper, Memory};
use crate::queue_folds::QueueFolds;
use crate::record::{Ended, Failure, Folded, FoldedError, NOT_KEPT, Origin, Outcome, Record, Started};
use crate::ring::{Counted, Ending, Look, Looked, RingItem, Rings, Seen};
use crate::running::{Begun, Running};
use crate::sending::{self, Ends, Entry, Failed, ForRings, HANDED_ON_BYTES, RECORD_BYTES, Sent};
use crate::{fold, park, progress, ring};

/// Maximum number of records per scan: of ended calls, of running calls, and of the queue each.
const AT_ONCE: usize = 2_000;
/// Approximate maximum size of the queue's records per scan, in bytes.
const BYTES_AT_ONCE: usize = 4 << 20;
/// Maximum number of ring folds whose error texts are kept at a time. The failures of further folds are counted without texts.
const MAX_FOLDS_WITH_ERRORS: usize = 1_000;

/// Opens the queue with a limit of `limit` bytes, kept in memory. `None` if it is already open.
pub fn open(limit: usize) -> Option<Receiver> {
    open_with(limit, &Memory)
}

/// Opens the queue like [`open`]; `keeper` keeps the rings and the queued records.
pub fn open_with(limit: usize, keeper: &'static dyn Keeper) -> Option<Receiver> {
    if !budget::open(limit) {
        return None;
    }
    let ends = sending::open(keeper);
    clock::set_up();
    park::set_up();
    ring::set_up(&ForRings);
    Some(Receiver::new(ends))
}

/// Returns everything that was dropped since the start of the program.
pub fn dropped() -> Vec<(DropKey, u64)> {
    budget::dropped(ring::refused)
}

/// Drains the recorded data. A program has one receiver.
#[derive(Debug)]
pub struct Receiver {
    queue: mpsc::Receiver<Sent>,
    failed: mpsc::Receiver<Failed>,
    handed_on: mpsc::Receiver<u64>,
    rings: Rings,
    queue_folds: QueueFolds,
    /// Running processes that were begun by the queue.
    begun: Begun,
    clock: Calibration,
    /// Records received from the queue that are not held back.
    came: VecDeque<Sent>,
    /// Failure messages whose ends were not seen yet, by process.
    words: HashMap<u64, Failed>,
    /// Error texts of the failures counted by ring folds, by mark.
    errors: HashMap<u64, ErrorTexts>,
    ready: VecDeque<Entry>,
    /// Number of the last record taken from the queue.
    place: u64,
    /// Number of records taken from the queue.
    popped: u64,
    /// Results of the last scan of the rings.
    looked: Looked,
    /// True after a scan that is not committed.
    has_taken: bool,
}

/// The part of the recorded data that was taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// Number of records taken of each region, by the number of the region.
    pub rings: Vec<(u32, u64)>,
    /// Number of the last record taken from the queue.
    pub queue: u64,
    /// All queue records up to this number are no longer needed. Records after it may be failure messages whose ends were not taken yet,
    /// and starts that are held back.
    pub settled: u64,
    /// Numbers of the starts that are held back.
    pub held: Vec<u64>,
}

/// Position in the recorded data at some time.
#[derive(Debug, Clone)]
pub struct Mark {
    /// Number of records in each ring.
    rings: Vec<u64>,
    queue: u64,
}

/// A record with the time at which it was made, in ticks.
struct Found {
    at: u64,
    entry: Entry,
}

impl Receiver {
    fn new(Ends { sent, failed, handed_on }: Ends) -> Self {
        Receiver {
            queue: sent,
            failed,
            handed_on,
            rings: Rings::default(),
            queue_folds: QueueFolds::default(),
            begun: Begun::default(),
            clock: Calibration::new(),
            came: VecDeque::new(),
            words: HashMap::new(),
            errors: HashMap::new(),
            ready: VecDeque::new(),
            place: 0,
            popped: 0,
            looked: Looked::default(),
            has_taken: false,
        }
    }

    /// Scans for recorded data and makes it ready in order of time, up to some thousand records. Repeat the call until it finds nothing. A
    /// running call is reported if it began `running_for` ago or earlier. An ended call is reported by start and end together. A fold that
    /// grows is reported once a second, or now if `running_for` is zero.
    ///
    /// The data stays in its place until the next [`commit`](Self::commit) or scan. Returns true if anything was taken, even
    /// if it is only held back or counted.
    pub fn look(&mut self, running_for: Duration) -> bool {
        self.commit();
        self.has_taken = true;
        self.clock.update();
        fold::set_up(self.clock.ticks_per_ns());
        progress::send_due(running_for.is_zero());
        let now = clock::now();
        let begun_before = now.saturating_sub(self.clock.ticks(running_for));
        let (mut seen, mut folds, mut starts, mut others) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let look = Look { limit: AT_ONCE, now, begun_before, all_folds: running_for.is_zero() };
        self.looked = self.rings.look(look, |told| seen.push(told));
        // Pending progress of these calls is sent by the queue, which is read below. So it is reported before their ends.
        for told in &seen {
            if let RingItem::Call(Seen { id, end: Some(_), .. }) = told {
                progress::ended(*id);
            }
        }
        // A failure message is sent before its record is stored in a ring, so the messages of all records seen are available here.
        self.words.extend(self.failed.try_iter().map(|failed| (failed.id, failed)));
        // The parents of the calls seen were queued before.
        self.meet(clock::now());
        let mut singly = self.queue_folds.hand_on(self.handed_on.try_iter().inspect(|_| budget::release(HANDED_ON_BYTES)));
        let mut has_taken = self.looked.has_taken || !seen.is_empty();
        for told in seen {
            match told {
                RingItem::Call(mut call) => {
                    call.parent = self.queue_folds.parent(call.parent);
                    if call.end.is_some() {
                        self.queue_folds.parent_ended(call.id);
                    }
                    self.split(call, &mut starts, &mut others);
                }
                RingItem::Fold(mut counted) => {
                    counted.parent = self.queue_folds.parent(counted.parent);
                    folds.push(counted);
                }
                RingItem::FailureCounted { id, mark, at } => self.failure_counted(id, mark, at),
                RingItem::Closed(mark) => drop(self.errors.remove(&mark)),
            }
        }
        if !self.looked.is_behind && !self.looked.is_limited {
            self.queue_folds.forget();
        }
        let (mut bytes, before) = (0, starts.len() + others.len());
        while starts.len() + others.len() < before + AT_ONCE && bytes < BYTES_AT_ONCE {
            let Some(sent) = self.came.pop_front() else { break };
            has_taken = true;
            self.popped += 1;
            self.place = sent.place;
            let id = match &sent.record {
                Record::Ended(ended) => {
                    self.rings.forget(ended.id);
                    self.queue_folds.parent_ended(ended.id);
                    let elapsed = sent.at.saturating_sub(sent.begun);
                    let is_counted = |table| self.queue_folds.end(ended.id, (elapsed, sent.at), &ended.outcome, table, &mut singly);
                    if ended.extra.is_none() && fold::table().is_some_and(is_counted) {
                        budget::release(sent.bytes);
                        continue;
                    }
                    Some(ended.id)
                }
                Record::Updated(updated) => Some(updated.id),
                Record::Logged(logged) => Some(logged.id),
                Record::Progressed(progressed) => Some(progressed.id),
                Record::Task(tasked) => Some(tasked.id),
                _ => None,
            };
            singly.extend(id.and_then(|id| self.queue_folds.tell_singly(id)));
            for sent in singly.drain(..).chain([sent]) {
                bytes += sent.bytes;
                if let Some(found) = self.stamp(sent) {
                    if matches!(found.entry.record, Record::Started(_)) { &mut starts } else { &mut others }.push(found);
                }
            }
        }
        if self.came.is_empty() {
            // Processes that are still held back are running.
            let longest = fold::table().map_or(u64::MAX, |table| table.longest);
            singly.extend(self.queue_folds.tell_older(if running_for.is_zero() { u64::MAX } else { now.saturating_sub(longest) }));
        }
        starts.extend(singly.into_iter().filter_map(|sent| self.stamp(sent)));
        // Read the messages sent before the records just taken, so that `taken` considers them.
        self.words.extend(self.failed.try_iter().map(|failed| (failed.id, failed)));
        // A start precedes all other records of its process, even with equal times. Folds precede everything that may be below them,
        // regardless of differences between the clocks of processors.
        starts.append(&mut others);
        starts.sort_by_key(|found| found.at);
        let of_queue = self.queue_folds.tell(!folds.is_empty() || !starts.is_empty(), running_for.is_zero());
        for counted in of_queue.into_iter().chain(folds) {
            let folded = self.folded(counted);
            self.ready.push_back(folded);
        }
        self.ready.extend(starts.into_iter().map(|found| found.entry));
        has_taken || !self.ready.is_empty()
    }

    /// Adds the message of a failed call to the texts of the fold that counts it.
    fn failure_counted(&mut self, id: u64, mark: u64, at: u64) {
        let Some(failed) = self.words.remove(&id) else { return };
        budget::release(failed.bytes);
        if let Some(errors) = self.errors.get_mut(&mark) {
            errors.add(&failed.failure.message, at);
        } else if self.errors.len() < MAX_FOLDS_WITH_ERRORS {
            self.errors.entry(mark).or_default().add(&failed.failure.message, at);
        }
    }

    /// Reads the records queued until this time, in ticks.
    fn meet(&mut self, until: u64) {
        while let Ok(sent) = self.queue.try_recv() {
            let is_later = sent.at > until;
            self.came.extend(self.queue_folds.meet(sent));
            if is_later {
                break;
            }
        }
    }

    /// Returns true if the last scan has left data that another scan would find now.
    pub fn is_behind(&self) -> bool {
        self.looked.is_behind || self.looked.is_limited || !self.came.is_empty()
    }

    /// Returns the current position. Once [`is_past`](Self::is_past) returns true for it, all data recorded before was made ready.
    pub fn mark(&mut self) -> Mark {
        self.meet(clock::now());
        Mark { rings: self.rings.heads(), queue: self.popped + self.came.len() as u64 }
    }

    /// Returns true if the last scan, which began after the mark was taken, has taken all data before the mark.
    pub fn is_past(&self, mark: &Mark) -> bool {
        !self.looked.is_limited && self.popped >= mark.queue && self.rings.is_past(&mark.rings)
    }

    /// Returns the part of the recorded data that was taken so far.
    pub fn taken(&self) -> Taken {
        let settled = self.words.values().map(|failed| failed.place.saturating_sub(1)).fold(self.place, u64::min);
        let held: Vec<u64> = self.queue_folds.held().take_while(|place| *place <= self.place).collect();
        let settled = held.first().map_or(settled, |place| settled.min(place.saturating_sub(1)));
        Taken { rings: self.rings.taken().collect(), queue: self.place, settled, held }
    }

    /// Frees the taken data, so that the program can reuse the memory.
    pub fn commit(&mut self) {
        if std::mem::take(&mut self.has_taken) {
            self.rings.commit();
        }
    }

    /// Releases the disk space of the rings at the end of the program. Nothing more is taken.
    pub fn detach(self) {
        self.rings.detach();
    }

    /// Returns the conversion of this program's ticks.
    pub fn clock(&self) -> Clock {
        self.clock.clock()
    }

    /// Returns the next record that a [`look`](Self::look) has made ready.
    pub fn take(&mut self) -> Option<Entry> {
        self.ready.pop_front()
    }

    /// Returns the next record, if there is one. Running calls are reported at once.
    pub fn try_recv(&mut self) -> Option<Entry> {
        if self.ready.is_empty() {
            // A scan that only counts makes nothing ready, and there may be more records after it.
            while self.look(Duration::ZERO) && self.ready.is_empty() {}
            self.commit();
        }
        self.take()
    }

    /// Returns the next record when there is one.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Entry> {
        if let Some(entry) = self.try_recv() {
            return Poll::Ready(entry);
        }
        match self.poll_news(cx) {
            Poll::Ready(()) => self.try_recv().map_or(Poll::Pending, Poll::Ready),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Is ready when a [`look`](Self::look) would find data, now or after `running_for`. A waiting task is woken by new records only.
    pub fn poll_news(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.has_news() {
            return Poll::Ready(());
        }
        park::park(cx.waker());
        // A record may have been made between the check and the flag.
        if self.has_news() {
            park::unpark();
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Returns up to `most` running processes, longest running first, and the number of the others.
    pub fn running(&mut self, most: usize) -> (Vec<Running>, usize) {
        let mut running: Vec<Running> = self.begun.all().collect();
        let clock = &self.clock;
        self.rings.each_running(|id, root, site, start| {
            running.push(Running { id, root, name: site.name.to_owned(), time_us: clock.time_us(start) });
        });
        running.sort_by_key(|running| (running.time_us, running.id));
        running.dedup_by_key(|running| running.id);
        let more = running.len().saturating_sub(most);
        running.truncate(most);
        (running, more)
    }

    /// Returns the ids of processes that are certainly running: those of the rings, and those of the queue unless some of its records are
    /// not taken yet, because these may contain ends.
    pub fn certainly_running(&self) -> HashSet<u64> {
        let mut running = HashSet::new();
        if self.came.is_empty() {
            running.extend(self.begun.all().map(|running| running.id));
        }
        self.rings.each_running(|id, _, _, _| {
            running.insert(id);
        });
        running
    }

    /// Releases the bytes of entries that are acknowledged or given up.
    pub fn release(&self, bytes: usize) {
        budget::release(bytes);
    }

    fn has_news(&mut self) -> bool {
        if self.came.is_empty()
            && let Ok(sent) = self.queue.try_recv()
        {
            self.came.extend(self.queue_folds.meet(sent));
        }
        !self.came.is_empty() || !self.ready.is_empty() || self.queue_folds.has_news() || progress::is_waiting() || self.rings.has_news()
    }

    /// Sets the times of a record. `None` for a start that was already seen in a ring.
    fn stamp(&mut self, sent: Sent) -> Option<Found> {
        let Sent { mut record, bytes, begun, at, .. } = sent;
        match &mut record {
            Record::Started(started) if self.rings.was_announced(started.id) => {
                budget::release(bytes);
                return None;
            }
            Record::Started(started) => {
                started.time_us = self.clock.time_us(at);
                self.begun.add(started);
            }
            Record::Logged(logged) => logged.time_us = self.clock.time_us(at),
            Record::Updated(updated) => updated.time_us = self.clock.time_us(at),
            Record::Progressed(progressed) => progressed.time_us = self.clock.time_us(at),
            Record::Task(tasked) => tasked.time_us = self.clock.time_us(at),
            // Created from the rings, with times.
            Record::Folded(_) => {}
            Record::Ended(ended) => {
                self.begun.remove(ended.id);
                ended.time_us = self.clock.time_us(at);
                ended.elapsed_ns = (begun != 0).then(|| self.clock.elapsed_ns(begun, at));
            }
        }
        Some(Found { at, entry: Entry { record, bytes } })
    }

    /// Converts the counts of a fold to a record.
    fn folded(&mut self, counted: Counted) -> Entry {
        let Counted { mark, shard, parent, root, origin, start, revision, tally, is_last } = counted;
        // If a mark has two counts, the texts belong to the first.
        let of_rings = self.errors.get(&mark).filter(|_| shard == mark);
        let errors = of_rings.unwrap_or(&tally.errors).clone();
        if is_last {
            self.errors.remove(&mark);
        }
        let ns = |ticks| self.clock.elapsed_ns(0, ticks);
        let histogram: Vec<_> = (0..).zip(tally.histogram).filter(|(_, count)| *count > 0).collect();
        let bytes = RECORD_BYTES + size_of::<Folded>() + size_of_val(&histogram[..]) + errors.bytes();
        budget::hold(bytes);
        let folded = Folded {
            root,
            parent,
            mark,
            shard,
            origin,
            time_us: self.clock.time_us(start),
            revision,
            count: tally.count,
            running: tally.running,
            failed: tally.failed,
            cancelled: tally.cancelled,
            total_ns: ns(tally.total),
            range_ns: tally.range.map(|(min, max)| (ns(min), ns(max))),
            histogram,
            errors: errors.iter().map(|(text, failures)| self.error(text, failures)).collect(),
            is_last,
        };
        Entry { record: Record::Folded(Box::new(folded)), bytes }
    }

    fn error(&self, text: &str, failures: Failures) -> FoldedError {
        let Failures { count, first, last } = failures;
        FoldedError { text: text.to_owned(), count, first_us: self.clock.time_us(first), last_us: self.clock.time_us(last) }
    }

    /// Adds the start and the end of a call seen in a ring.
    fn split(&mut self, call: Seen, starts: &mut Vec<Found>, ends: &mut Vec<Found>) {
        if call.is_new {
            budget::hold(RECORD_BYTES);
            let started = Started {
                root: call.root,
                id: call.id,
                parent: call.parent,
                origin: Origin::Site(call.site),
                time_us: self.clock.time_us(call.start),
                thread: call.thread,
                attachment: call.attachment,
                extra: None,
            };
            starts.push(Found { at: call.start, entry: Entry { record: Record::Started(started), bytes: RECORD_BYTES } });
        }
        if let Some((end, ending)) = call.end {
            budget::hold(RECORD_BYTES);
            let mut bytes = RECORD_BYTES;
            let outcome = match ending {
                Ending::Succeeded => Outcome::Succeeded,
                Ending::Cancelled => Outcome::Cancelled,
                Ending::Error | Ending::Panic => Outcome::Failed(self.words.remove(&call.id).map_or_else(
                    || {
                        let (kind, place) = if ending == Ending::Panic {
                            ("panic", None)
                        } else {
                            ("error", Some((call.site.file.into(), call.site.line)))
                        };
                        Box::new(Failure { kind, message: NOT_KEPT.to_owned(), place, ..Failure::default() })
                    },
                    |failed| {
                        bytes += failed.bytes;
                        failed.failure
                    },
                )),
            };
            let ended = Ended {
                root: call.root,
                id: call.id,
                time_us: self.clock.time_us(end),
                elapsed_ns: Some(self.clock.elapsed_ns(call.start, end)),
                outcome,
                extra: None,
            };
            ends.push(Found { at: end, entry: Entry { record: Record::Ended(ended), bytes } });
        }
    }
}
