//! The draining end: what came by the queue and what stands in the rings, as one stream of records.

use std::collections::{HashMap, VecDeque};
use std::sync::mpsc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::clock::{self, Calibration, Clock};
use crate::queue::{self, Entry, Failed, NOT_KEPT, RECORD_BYTES, Sent};
use crate::record::{Ended, Failure, Folded, Origin, Outcome, Record, Started};
use crate::ring::{Counted, Ending, Look, Rings, Seen, Told};
use crate::{fold, park};

/// Records of calls that have ended, and as many of calls that run, and as many from the queue, that one look finds.
const AT_ONCE: usize = 2_000;
/// Bytes of records from the queue that one look finds, or little more.
const BYTES_AT_ONCE: usize = 4 << 20;

/// Takes out what was recorded. There is one in a program.
#[derive(Debug)]
pub struct Receiver {
    queue: mpsc::Receiver<Sent>,
    failed: mpsc::Receiver<Failed>,
    rings: Rings,
    clock: Calibration,
    /// Came by the queue while looking whether there is something.
    first: Option<Sent>,
    /// Words whose ends have not been seen yet, by process.
    words: HashMap<u64, Failed>,
    ready: VecDeque<Entry>,
    /// Number of the last that came by the queue.
    place: u64,
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
    /// not taken yet.
    pub settled: u64,
}

/// A record, when it was made (in ticks), and its bytes.
struct Found {
    at: u64,
    entry: Entry,
}

impl Receiver {
    pub(crate) fn new(queue: mpsc::Receiver<Sent>, failed: mpsc::Receiver<Failed>) -> Self {
        Receiver {
            queue,
            failed,
            rings: Rings::default(),
            clock: Calibration::new(),
            first: None,
            words: HashMap::new(),
            ready: VecDeque::new(),
            place: 0,
            has_taken: false,
        }
    }

    /// Makes ready what was recorded, in the order of time; not more than some thousand records, so look again until
    /// nothing comes. A call that runs and has begun `running_for` ago or earlier is made known; one that has ended is
    /// known by start and end together. A fold that grows is made known once a second, or now if `running_for` is zero.
    ///
    /// What it takes stays where it was until the next [`commit`](Self::commit) or look.
    pub fn look(&mut self, running_for: Duration) {
        self.commit();
        self.has_taken = true;
        self.clock.update();
        fold::set_up(self.clock.ticks_per_ns());
        let now = clock::now();
        let begun_before = now.saturating_sub(self.clock.ticks(running_for));
        let (mut seen, mut folds, mut starts, mut others) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        self.rings.look(Look { limit: AT_ONCE, now, begun_before, all_folds: running_for.is_zero() }, |told| seen.push(told));
        // The words of a failure are sent before its record stands in a ring: those of what was seen are all here.
        self.words.extend(self.failed.try_iter().map(|failed| (failed.id, failed)));
        for told in seen {
            match told {
                Told::Call(call) => self.split(call, &mut starts, &mut others),
                Told::Fold(counted) => folds.push(self.folded(counted)),
                Told::Wordless(id) => {
                    if let Some(failed) = self.words.remove(&id) {
                        queue::release(failed.bytes);
                    }
                }
            }
        }
        let mut bytes = 0;
        for _ in 0..AT_ONCE {
            let Some(sent) = self.first.take().or_else(|| self.queue.try_recv().ok()) else { break };
            self.place = sent.place;
            bytes += sent.bytes;
            if let Some(found) = self.stamp(sent) {
                if matches!(found.entry.record, Record::Started(_)) { &mut starts } else { &mut others }.push(found);
            }
            if bytes >= BYTES_AT_ONCE {
                break;
            }
        }
        // Those before what was just taken, so that `taken` knows of them.
        self.words.extend(self.failed.try_iter().map(|failed| (failed.id, failed)));
        // A start stands before all else of its process, even if the clock says the same of both. Folds stand before all that
        // may hang below them, whatever the clocks of several processors say.
        starts.append(&mut others);
        starts.sort_by_key(|found| found.at);
        self.ready.extend(folds.into_iter().chain(starts.into_iter().map(|found| found.entry)));
    }

    /// How much was taken by now.
    pub fn taken(&self) -> Taken {
        let settled = self.words.values().map(|failed| failed.place.saturating_sub(1)).fold(self.place, u64::min);
        Taken { rings: self.rings.taken().collect(), queue: self.place, settled }
    }

    /// Frees what was taken, for the program to record into it again.
    pub fn commit(&mut self) {
        if std::mem::take(&mut self.has_taken) {
            self.rings.commit();
        }
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
            self.look(Duration::ZERO);
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

    /// Gives back the bytes of entries that are acknowledged or given up.
    pub fn release(&self, bytes: usize) {
        queue::release(bytes);
    }

    fn has_news(&mut self) -> bool {
        if self.first.is_none() {
            self.first = self.queue.try_recv().ok();
        }
        self.first.is_some() || !self.ready.is_empty() || self.rings.has_news()
    }

    /// Fills in the times; `None` for a start that was seen in a ring already.
    fn stamp(&mut self, sent: Sent) -> Option<Found> {
        let Sent { mut record, bytes, begun, at, .. } = sent;
        match &mut record {
            Record::Started(started) if self.rings.was_announced(started.id) => {
                queue::release(bytes);
                return None;
            }
            Record::Started(started) => started.time_us = self.clock.time_us(at),
            Record::Logged(logged) => logged.time_us = self.clock.time_us(at),
            Record::Updated(updated) => updated.time_us = self.clock.time_us(at),
            // Made from what rings say.
            Record::Folded(_) => {}
            Record::Ended(ended) => {
                self.rings.forget(ended.id);
                ended.time_us = self.clock.time_us(at);
                ended.elapsed_ns = self.clock.elapsed_ns(begun, at);
            }
        }
        Some(Found { at, entry: Entry { record, bytes } })
    }

    /// What a fold counts.
    fn folded(&self, counted: Counted) -> Entry {
        let Counted { mark, shard, parent, root, site, start, revision, tally, is_last } = counted;
        let ns = |ticks| self.clock.elapsed_ns(0, ticks);
        let histogram: Vec<_> = (0..).zip(tally.histogram).filter(|(_, count)| *count > 0).collect();
        let bytes = RECORD_BYTES + size_of::<Folded>() + size_of_val(&histogram[..]);
        queue::hold(bytes);
        let folded = Folded {
            root,
            parent,
            mark,
            shard,
            origin: Origin::Site(site),
            time_us: self.clock.time_us(start),
            revision,
            count: tally.count,
            running: tally.running,
            failed: tally.failed,
            cancelled: tally.cancelled,
            total_ns: ns(tally.total),
            range_ns: tally.range.map(|(min, max)| (ns(min), ns(max))),
            histogram,
            is_last,
        };
        Entry { record: Record::Folded(Box::new(folded)), bytes }
    }

    /// Start and end of what was seen in a ring.
    fn split(&mut self, call: Seen, starts: &mut Vec<Found>, ends: &mut Vec<Found>) {
        if call.is_new {
            queue::hold(RECORD_BYTES);
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
            queue::hold(RECORD_BYTES);
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
                elapsed_ns: self.clock.elapsed_ns(call.start, end),
                outcome,
                extra: None,
            };
            ends.push(Found { at: end, entry: Entry { record: Record::Ended(ended), bytes } });
        }
    }
}
