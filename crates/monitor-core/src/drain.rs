//! The draining end: what came by the queue and what stands in the rings, as one stream of records.

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

/// Records of calls that have ended, and as many of calls that run, and as many from the queue, that one look finds.
const AT_ONCE: usize = 2_000;
/// Bytes of records from the queue that one look finds, or little more.
const BYTES_AT_ONCE: usize = 4 << 20;
/// Folds of the rings whose error texts are kept at a time. The failures of further ones are counted without texts.
const MAX_FOLDS_WITH_ERRORS: usize = 1_000;

/// Opens the way out with room for `limit` bytes, kept in memory; `None` if it is open already.
pub fn open(limit: usize) -> Option<Receiver> {
    open_with(limit, &Memory)
}

/// Like [`open`], with the rings and what is queued kept by `keeper`.
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

/// All that had to be dropped since the program began.
pub fn dropped() -> Vec<(DropKey, u64)> {
    budget::dropped(ring::refused)
}

/// Takes out what was recorded. There is one in a program.
#[derive(Debug)]
pub struct Receiver {
    queue: mpsc::Receiver<Sent>,
    failed: mpsc::Receiver<Failed>,
    handed_on: mpsc::Receiver<u64>,
    rings: Rings,
    queue_folds: QueueFolds,
    /// What was begun by the queue and runs.
    begun: Begun,
    clock: Calibration,
    /// Came by the queue, and is not held back.
    came: VecDeque<Sent>,
    /// Words whose ends have not been seen yet, by process.
    words: HashMap<u64, Failed>,
    /// Error texts of what folds of the rings count, by mark.
    errors: HashMap<u64, ErrorTexts>,
    ready: VecDeque<Entry>,
    /// Number of the last that came by the queue.
    place: u64,
    /// How many of what came by the queue were taken.
    popped: u64,
    /// What the last look has come upon.
    looked: Looked,
    /// Looked, and not committed.
    has_taken: bool,
}

/// How much of what was recorded has been taken. All before is behind the one who drains, all after is not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// Records of each region, by its number.
    pub rings: Vec<(u32, u64)>,
    /// Number of the last that came by the queue.
    pub queue: u64,
    /// Of what came by the queue, all up to this number is needed no more. Beyond may be words of failures whose ends were
    /// not taken yet, and starts that are held back.
    pub settled: u64,
    /// Numbers of the starts that are held back.
    pub held: Vec<u64>,
}

/// What was recorded by some moment.
#[derive(Debug, Clone)]
pub struct Mark {
    /// Records of each ring.
    rings: Vec<u64>,
    queue: u64,
}

/// A record, when it was made (in ticks), and its bytes.
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

    /// Makes ready what was recorded, in the order of time; not more than some thousand records, so look again until
    /// nothing comes. A call that runs and has begun `running_for` ago or earlier is made known; one that has ended is
    /// known by start and end together. A fold that grows is made known once a second, or now if `running_for` is zero.
    ///
    /// What it takes stays where it was until the next [`commit`](Self::commit) or look. Whether it took anything, be it
    /// only to hold it back or to count it.
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
        // What waits of those comes by the queue, which is met below: so it is told before their ends.
        for told in &seen {
            if let RingItem::Call(Seen { id, end: Some(_), .. }) = told {
                progress::ended(*id);
            }
        }
        // The words of a failure are sent before its record stands in a ring: those of what was seen are all here.
        self.words.extend(self.failed.try_iter().map(|failed| (failed.id, failed)));
        // Who began what was seen came by the queue before.
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
            // What is still held back runs.
            let longest = fold::table().map_or(u64::MAX, |table| table.longest);
            singly.extend(self.queue_folds.tell_older(if running_for.is_zero() { u64::MAX } else { now.saturating_sub(longest) }));
        }
        starts.extend(singly.into_iter().filter_map(|sent| self.stamp(sent)));
        // Those before what was just taken, so that `taken` knows of them.
        self.words.extend(self.failed.try_iter().map(|failed| (failed.id, failed)));
        // A start stands before all else of its process, even if the clock says the same of both. Folds stand before all that
        // may hang below them, whatever the clocks of several processors say.
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

    /// Takes note of what has come by the queue until this time, in ticks.
    fn meet(&mut self, until: u64) {
        while let Ok(sent) = self.queue.try_recv() {
            let is_later = sent.at > until;
            self.came.extend(self.queue_folds.meet(sent));
            if is_later {
                break;
            }
        }
    }

    /// Whether the last look has left something that another one would find now.
    pub fn is_behind(&self) -> bool {
        self.looked.is_behind || self.looked.is_limited || !self.came.is_empty()
    }

    /// What was recorded by now: once a look finds it [`past`](Self::is_past), all of it was made ready.
    pub fn mark(&mut self) -> Mark {
        self.meet(clock::now());
        Mark { rings: self.rings.heads(), queue: self.popped + self.came.len() as u64 }
    }

    /// Whether the last look, which was later than the mark, was the last that the mark needed.
    pub fn is_past(&self, mark: &Mark) -> bool {
        !self.looked.is_limited && self.popped >= mark.queue && self.rings.is_past(&mark.rings)
    }

    /// How much was taken by now.
    pub fn taken(&self) -> Taken {
        let settled = self.words.values().map(|failed| failed.place.saturating_sub(1)).fold(self.place, u64::min);
        let held: Vec<u64> = self.queue_folds.held().take_while(|place| *place <= self.place).collect();
        let settled = held.first().map_or(settled, |place| settled.min(place.saturating_sub(1)));
        Taken { rings: self.rings.taken().collect(), queue: self.place, settled, held }
    }

    /// Frees what was taken, for the program to record into it again.
    pub fn commit(&mut self) {
        if std::mem::take(&mut self.has_taken) {
            self.rings.commit();
        }
    }

    /// The program ends, and nothing more is taken: gives back the room that the rings take on the disk.
    pub fn detach(self) {
        self.rings.detach();
    }

    /// What the ticks of this program mean.
    pub fn clock(&self) -> Clock {
        self.clock.clock()
    }

    /// The next record that a [`look`](Self::look) has made ready.
    pub fn take(&mut self) -> Option<Entry> {
        self.ready.pop_front()
    }

    /// The next record, if there is one; what runs is made known at once.
    pub fn try_recv(&mut self) -> Option<Entry> {
        if self.ready.is_empty() {
            // What is only counted makes nothing ready, and there may be more behind it.
            while self.look(Duration::ZERO) && self.ready.is_empty() {}
            self.commit();
        }
        self.take()
    }

    /// The next record, when there is one.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Entry> {
        if let Some(entry) = self.try_recv() {
            return Poll::Ready(entry);
        }
        match self.poll_news(cx) {
            Poll::Ready(()) => self.try_recv().map_or(Poll::Pending, Poll::Ready),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Ready when a [`look`](Self::look) would find something, now or when it has run long enough. Between records nothing
    /// wakes the one who waits.
    pub fn poll_news(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.has_news() {
            return Poll::Ready(());
        }
        park::park(cx.waker());
        // Something may have come between the first look and the flag.
        if self.has_news() {
            park::unpark();
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Processes that run now, those first that have run longest; so many at most, and how many more there are.
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

    /// Returns the ids of processes that certainly run: those of the rings, and those of the queue unless some of its records are not
    /// taken, among which their ends may be.
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

    /// Gives back the bytes of entries that are acknowledged or given up.
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

    /// Fills in the times; `None` for a start that was seen in a ring already.
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
            // Made from what rings say.
            Record::Folded(_) => {}
            Record::Ended(ended) => {
                self.begun.remove(ended.id);
                ended.time_us = self.clock.time_us(at);
                ended.elapsed_ns = (begun != 0).then(|| self.clock.elapsed_ns(begun, at));
            }
        }
        Some(Found { at, entry: Entry { record, bytes } })
    }

    /// What a fold counts.
    fn folded(&mut self, counted: Counted) -> Entry {
        let Counted { mark, shard, parent, root, origin, start, revision, tally, is_last } = counted;
        // Where a mark has two counts, the texts are those of the first.
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

    /// Start and end of what was seen in a ring.
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
