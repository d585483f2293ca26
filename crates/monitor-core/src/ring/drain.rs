//! The reading side of the rings. A program has one reader.

#![allow(unsafe_code, reason = "gives back segments that were read to their end")]

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use super::briefs::{self, Rows, Running};
use super::folds::{Counted, Folds};
use super::layout::{ENDED_IN_SLOT, Fold, Frame, RUNNING, Region, SegmentRef, Words};
use super::registry::FIRST_RECORDS;
use super::{Ending, Facts, host, registry};
use crate::brief::{self, Briefs, Paths};
use crate::record::{Attachment, Site};
use crate::{clock, fold, park};

/// Number of names of ended threads that are kept for records in the rings of others.
const RETIRED: usize = 1_024;

/// The limits of a scan.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// Maximum number of records.
    pub(crate) limit: usize,
    /// The current time, in ticks.
    pub(crate) now: u64,
    /// Running calls that began before this time are reported, in ticks.
    pub(crate) begun_before: u64,
    /// True if every changed fold is reported, and false if only those that were not reported for a while.
    pub(crate) all_folds: bool,
}

/// The result of a scan.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Looked {
    /// True if something was taken, even if it was only counted.
    pub(crate) has_taken: bool,
    /// True if records are left in the rings.
    pub(crate) is_behind: bool,
    /// True if the frames and slots may hold more than was reported.
    pub(crate) is_limited: bool,
}

/// A thing found by a scan.
pub(crate) enum RingItem {
    Call(Seen),
    Fold(Counted),
    /// A failed call that is counted in a fold.
    FailureCounted {
        id: u64,
        /// Mark of the fold.
        mark: u64,
        /// End of the call, in ticks.
        at: u64,
    },
    /// Nothing more will be counted in the fold with this mark.
    Closed(u64),
}

/// A call that began, and perhaps ended, since the last scan.
pub(crate) struct Seen {
    pub(crate) id: u64,
    pub(crate) parent: u64,
    pub(crate) root: u128,
    pub(crate) site: &'static Site,
    pub(crate) thread: Arc<str>,
    pub(crate) attachment: Attachment,
    /// Start, in ticks.
    pub(crate) start: u64,
    /// True if its start was not reported before.
    pub(crate) is_new: bool,
    /// Time of its end, in ticks, and how it ended. `None` while it runs.
    pub(crate) end: Option<(u64, Ending)>,
}

/// All rings of the program, and what was reported of them.
#[derive(Debug, Default)]
pub(crate) struct Rings {
    pub(super) all: Vec<Ring>,
    names: HashMap<u64, Arc<str>>,
    retired: VecDeque<u64>,
    news_seen: u64,
    /// Running calls whose start was reported.
    pub(super) announced: HashSet<u64>,
    /// Parents of the calls reported by this scan. They are reported in the same scan, however short they have run.
    pub(super) wanted: HashSet<u64>,
    pub(super) folds: Folds,
    /// Calls that had not ended when something below them was reported. They get a row at their end, however short they were.
    pub(super) owed: HashSet<u64>,
    /// Brief calls of the ring that is being read.
    pub(super) briefs: Briefs,
    /// The rows that count the brief calls.
    pub(super) rows: Rows,
    /// Paths of the running calls, and of the calls in the rings that are not brief.
    pub(super) paths: Paths,
    /// The ring that is read first. It changes with each scan, so that no ring is always the last.
    first: usize,
    /// Slots whose ends were reported and that are not freed yet, with their regions.
    told: Vec<(&'static Region, &'static Frame)>,
    /// Segments that were read to their end and not given back yet, with their regions.
    left: Vec<(&'static Region, SegmentRef)>,
}

#[derive(Debug)]
pub(super) struct Ring {
    pub(super) region: &'static Region,
    /// The segment that is read.
    segment: SegmentRef,
    /// Number of records taken.
    pub(super) taken: u64,
    /// Number of records whose paths are known.
    pub(super) linked: u64,
    thread: u64,
    /// True if the region waits for a thread.
    is_free: bool,
    fold_news_seen: u64,
}

impl Rings {
    /// Reports the calls that have ended, the running calls that began early enough and were not reported yet, and the counts of the
    /// folds. The limit applies to ended and running calls separately. Nothing is freed before the next [`commit`](Self::commit),
    /// which must come before the next scan.
    pub(crate) fn look(&mut self, look: Look, mut tell: impl FnMut(RingItem)) -> Looked {
        self.meet();
        let passed = fold::has_below().then(|| {
            let at = clock::now();
            park::pass();
            self.link_running(look.now);
            at
        });
        let mut left = look.limit;
        self.first += 1;
        for turn in 0..self.all.len() {
            let at = (self.first + turn) % self.all.len();
            left = left.saturating_sub(self.read(at, left, look, passed, &mut tell));
            self.settle(look.now, &mut tell);
        }
        // The slots have a limit of their own, so that they don't wait for the end of the rings.
        let mut in_slots = look.limit;
        for at in 0..self.all.len() {
            let region = self.all[at].region;
            for slot in slots(region) {
                in_slots -= self.ended_in_slot(region, slot, in_slots, &mut tell);
            }
        }
        self.settle(look.now, &mut tell);
        if passed.is_some() {
            self.link_running(look.now);
        }
        // After the records: the frame of a record that was read is gone, so no call is reported as running after it was reported as ended.
        let (mut running, mut long) = (look.limit, BTreeMap::new());
        loop {
            let before = running;
            for at in 0..self.all.len() {
                let region = self.all[at].region;
                // The innermost call first: a reported call needs its parent to be reported.
                for frame in slots(region).chain(frames(region).rev()) {
                    running -= self.running(frame, look, running, &mut long, &mut tell);
                }
            }
            if running == before {
                break;
            }
        }
        self.wanted.clear();
        self.promote(&long, &mut tell);
        // After everything else: a reported call below a fold began after that fold.
        self.discover();
        self.owed.extend(self.folds.stay_above());
        self.folds.look(look, &self.announced, &mut tell);
        self.folds.over().for_each(|mark| self.rows.ended(mark));
        self.rows.look(look.now, &mut tell);
        Looked { has_taken: left < look.limit || in_slots < look.limit, is_behind: left == 0, is_limited: running == 0 || in_slots == 0 }
    }

    /// Returns the number of records written so far, by ring.
    pub(crate) fn heads(&mut self) -> Vec<u64> {
        self.meet();
        self.all.iter().map(|ring| ring.region.writer.head.observe()).collect()
    }

    /// Returns true if all of these records were taken.
    pub(crate) fn is_past(&self, heads: &[u64]) -> bool {
        self.all.iter().zip(heads).all(|(ring, head)| ring.taken >= *head)
    }

    /// Gives back the space that the rings take outside of this program's memory. It consumes the reader,
    /// because nothing can be read after that.
    pub(crate) fn detach(mut self) {
        self.commit();
        for Ring { region, segment, .. } in self.all {
            // SAFETY: the only reader ends here; keeper and region are those of the segment.
            unsafe { segment.detach(host::keeper(), region.number()) };
        }
    }

    /// Frees what the last scan has reported.
    pub(crate) fn commit(&mut self) {
        for ring in &self.all {
            ring.region.reader.tail.publish(ring.taken);
        }
        for (region, segment) in self.left.drain(..) {
            let bytes = segment.bytes();
            // SAFETY: the writer left the segment before it published its end, and all of it was read; keeper
            // and region are those of the segment.
            unsafe { segment.free(host::keeper(), region.number()) };
            host::release(bytes);
        }
        for (region, slot) in self.told.drain(..) {
            slot.line.clear();
            region.reader.freed.count();
        }
        self.folds.commit();
        for at in 0..self.all.len() {
            self.recycle(at);
        }
    }

    /// Returns the number of records taken out of each region.
    pub(crate) fn taken(&self) -> impl Iterator<Item = (u32, u64)> {
        self.all.iter().map(|ring| (ring.region.number(), ring.taken))
    }

    /// Returns true if [`look`](Self::look) would find something, now or once it has run long enough.
    pub(crate) fn has_news(&self) -> bool {
        registry::has_news(self.news_seen)
            || self.folds.has_news(&self.announced)
            || self.all.iter().any(|ring| {
                let Ring { region, is_free, taken, .. } = *ring;
                let told = |frame: &Frame| {
                    frame.line.is_clear() || frame.line.read(RUNNING).is_some_and(|words| self.announced.contains(&words.id))
                };
                region.writer.fold_news.observe() != ring.fold_news_seen
                    || region.writer.head.observe() != taken
                    || !frames(region).all(told)
                    || !slots(region).all(told)
                    || (!is_free && region.reader.is_left.observe() == 1 && slots(region).all(|slot| slot.line.is_clear()))
            })
    }

    /// Calls `tell` with id, tree, function and start in ticks of each running call.
    pub(crate) fn each_running(&self, mut tell: impl FnMut(u64, u128, &'static Site, u64)) {
        for ring in &self.all {
            for words in slots(ring.region).chain(frames(ring.region)).filter_map(|frame| frame.line.read(RUNNING)) {
                if let Some(site) = Facts(words.facts).site() {
                    tell(words.id, words.root(), site, words.start);
                }
            }
        }
    }

    /// Notes an end that was reported in another way.
    pub(crate) fn forget(&mut self, id: u64) {
        self.announced.remove(&id);
        self.owed.remove(&id);
        self.folds.ended(id);
        self.rows.ended(id);
    }

    pub(crate) fn was_announced(&self, id: u64) -> bool {
        self.announced.contains(&id)
    }

    fn meet(&mut self) {
        for news in registry::news(&mut self.news_seen) {
            self.names.insert(news.thread, news.name);
            if let Some(segment) = news.segment {
                self.all.push(Ring {
                    region: news.region,
                    segment,
                    taken: 0,
                    linked: 0,
                    thread: news.thread,
                    is_free: false,
                    fold_news_seen: 0,
                });
            } else if let Some(ring) = self.all.iter_mut().find(|ring| std::ptr::eq(ring.region, news.region)) {
                (ring.thread, ring.is_free) = (news.thread, false);
            }
        }
    }

    /// Takes records out of a ring. Returns their number.
    fn read(&mut self, at: usize, limit: usize, look: Look, passed: Option<u64>, tell: &mut impl FnMut(RingItem)) -> usize {
        let (region, mut segment, from) = (self.all[at].region, self.all[at].segment, self.all[at].taken);
        let to = match passed {
            Some(passed) => self.decided(at, limit, look, passed),
            None => region.writer.head.observe().min(from + limit as u64),
        };
        for number in from..to {
            while let Some((next, _)) = segment.next().filter(|(_, end)| *end <= number) {
                self.left.push((region, segment));
                segment = next;
            }
            match segment.line(number).read(number) {
                Some(words) => self.ended(words, tell),
                None => host::count_unreadable(),
            }
        }
        (self.all[at].taken, self.all[at].segment) = (to, segment);
        (to - from) as usize
    }

    /// Returns the number of the first record that stays in a ring, so that no record is taken that may belong to a brief call.
    fn decided(&mut self, at: usize, limit: usize, look: Look, passed: u64) -> u64 {
        let Ring { region, taken: from, .. } = self.all[at];
        let Some(below) = fold::table().map(|table| table.below) else { return from };
        // Before the records: a call that ends meanwhile is found among them.
        let running = Running::of(region, passed);
        let head = region.writer.head.observe();
        let old = look.begun_before.max(look.now.saturating_sub(below));
        self.link_ended(at, head, below);
        let decided = |to: u64| {
            let calls = self.records(at, from, to);
            let is_told = |id| self.announced.contains(&id) || self.folds.knows(id);
            let since = briefs::undecided(&calls, &running, old, to < head, is_told).unwrap_or(u64::MAX);
            calls.iter().position(|(_, words)| words.start >= since).map_or(to, |first| calls[first].0)
        };
        let to = head.min(from + limit as u64);
        let first = decided(to);
        // One brief call may have made more calls than the limit.
        if first == from && to < head { decided(head) } else { first }
    }

    /// Returns the records in this range with their numbers.
    pub(super) fn records(&self, at: usize, from: u64, to: u64) -> Vec<(u64, Words)> {
        let mut segment = self.all[at].segment;
        let mut records = Vec::new();
        for number in from..to {
            while let Some((next, _)) = segment.next().filter(|(_, end)| *end <= number) {
                segment = next;
            }
            records.extend(segment.line(number).read(number).map(|words| (number, words)));
        }
        records
    }

    fn ended(&mut self, mut words: Words, tell: &mut impl FnMut(RingItem)) {
        let is_owed = !self.owed.is_empty() && self.owed.remove(&words.id);
        let ending = Facts(words.facts).ending();
        if Facts(words.facts).is_folded() {
            // Its fold may be newer than the last scan.
            if !self.folds.knows(words.parent) {
                self.discover();
            }
            let Some(parent) = self.folds.take(&words, ending) else {
                if matches!(ending, Ending::Error | Ending::Panic) {
                    tell(RingItem::FailureCounted { id: words.id, mark: words.parent, at: words.end });
                }
                return;
            };
            // The call is not counted in its fold after all.
            words.parent = parent;
        }
        let is_new = !self.announced.remove(&words.id);
        if let Some(table) = fold::table().filter(|table| table.below > 0) {
            let elapsed = words.end.saturating_sub(words.start);
            let facts = Facts(words.facts);
            let mut may_be_brief = facts.may_be_brief() && ending != Ending::Cancelled && is_new;
            if may_be_brief && facts.has_folds() {
                may_be_brief = self.absorb_folds(&words);
            }
            let call = brief::Ended {
                id: words.id,
                parent: words.parent,
                root: words.root(),
                site: Facts(words.facts).site_number() as u32,
                start: words.start,
                elapsed,
                bucket: table.bucket(elapsed) as u32,
                may_be_counted: may_be_brief && !is_owed,
                has_failed: matches!(ending, Ending::Error | Ending::Panic),
                tag: words.facts,
            };
            let rows = self.briefs.add(&call, &mut self.paths, table.limits());
            let is_told = rows.is_some();
            if let Some(rows) = rows {
                let place = self.paths.place_of_counts(words.id);
                self.add_rows(place, words.root(), rows, words.end, tell);
                self.rows.ended(words.id);
            }
            if elapsed >= table.below {
                self.paths.unlink(words.id);
            }
            if !is_told {
                return;
            }
        }
        self.folds.ended(words.id);
        if let Some(seen) = self.seen(words, is_new, Some((words.end, ending))) {
            tell(RingItem::Call(seen));
        }
    }

    /// Reports the running call in a frame. Returns the number of reported calls: 0 or 1.
    fn running(
        &mut self,
        frame: &'static Frame,
        look: Look,
        limit: usize,
        long: &mut BTreeMap<u64, (&'static Frame, Words)>,
        tell: &mut impl FnMut(RingItem),
    ) -> usize {
        // A line that can't be read is being written: the next scan will find the call or its record.
        let Some(words) = frame.line.read(RUNNING) else { return 0 };
        if Facts(words.facts).is_folded() {
            let is_long = |table: &fold::Table| look.now.saturating_sub(words.start) >= table.longest;
            if !self.announced.contains(&words.id) && fold::table().is_some_and(is_long) {
                long.insert(words.id, (frame, words));
            }
            0
        } else if limit > 0
            && (self.wanted.contains(&words.id) || words.start <= look.begun_before && self.paths.parent_of_counted(words.id).is_none())
        {
            usize::from(self.announce(words, tell))
        } else {
            0
        }
    }

    /// Reports a running call once. Returns true if it was reported now.
    fn announce(&mut self, words: Words, tell: &mut impl FnMut(RingItem)) -> bool {
        if self.announced.insert(words.id)
            && let Some(seen) = self.seen(words, true, None)
        {
            tell(RingItem::Call(seen));
            return true;
        }
        false
    }

    /// Reports folded calls individually that have run for long, if their threads will notice it when the calls end.
    fn promote(&mut self, long: &BTreeMap<u64, (&'static Frame, Words)>, tell: &mut impl FnMut(RingItem)) {
        if long.is_empty() {
            return;
        }
        // Their folds may be newer than the last scan.
        self.discover();
        for (frame, words) in long.values() {
            frame.promoted.set(words.id);
        }
        park::pass();
        for (frame, words) in long.values() {
            if frame.line.read(RUNNING).is_some_and(|now| now.id == words.id) {
                self.folds.promoted(words.id, frame.below.get());
                self.announce(*words, tell);
            }
        }
    }

    /// Finds the folds that came into use since the last scan, and for each one the folds around it.
    pub(super) fn discover(&mut self) {
        let mut is_any = true;
        while is_any {
            is_any = false;
            // The thread on which a future began may be newer than the thread on which it ended.
            self.meet();
            for ring in &mut self.all {
                let news = ring.region.writer.fold_news.observe();
                if news != ring.fold_news_seen {
                    ring.fold_news_seen = news;
                    folds(ring.region).for_each(|fold| self.folds.meet(fold));
                    is_any = true;
                }
            }
        }
    }

    fn ended_in_slot(&mut self, region: &'static Region, slot: &'static Frame, limit: usize, tell: &mut impl FnMut(RingItem)) -> usize {
        let Some(words) = slot.line.read(ENDED_IN_SLOT).filter(|_| limit > 0) else { return 0 };
        self.ended(words, tell);
        self.told.push((region, slot));
        1
    }

    pub(super) fn seen(&mut self, words: Words, is_new: bool, end: Option<(u64, Ending)>) -> Option<Seen> {
        self.wanted.insert(words.parent);
        if fold::has_below() {
            if !self.folds.knows(words.parent) {
                self.discover();
            }
            let caller = self.folds.stay(words.parent);
            self.wanted.extend(caller);
            self.owed.extend(caller);
        }
        let facts = Facts(words.facts);
        Some(Seen {
            id: words.id,
            parent: words.parent,
            root: words.root(),
            site: facts.site()?,
            thread: self.names.get(&facts.thread()).cloned().unwrap_or_else(|| Arc::from("ended")),
            attachment: facts.attachment(),
            start: words.start,
            is_new,
            end,
        })
    }

    /// Replaces the ring of a region by a small one, if no thread records into it and all its records are taken.
    fn shrink(&mut self, at: usize) {
        let Ring { region, segment: old, taken, .. } = self.all[at];
        let bytes = SegmentRef::bytes_of(FIRST_RECORDS);
        if old.records() <= FIRST_RECORDS || taken == old.base() || !host::reserve(bytes) {
            return;
        }
        let Some(small) = SegmentRef::new(host::keeper(), region.number(), FIRST_RECORDS, taken) else {
            return host::release(bytes);
        };
        region.set_segment(small);
        self.all[at].segment = small;
        let bytes = old.bytes();
        // SAFETY: its thread is gone, and the next thread gets the region with the new segment; keeper and region are those of the segment.
        unsafe { old.free(host::keeper(), region.number()) };
        host::release(bytes);
    }

    /// Makes a region available to the next thread when nothing of its last thread is left in it.
    fn recycle(&mut self, at: usize) {
        let Ring { region, thread, is_free, .. } = self.all[at];
        let is_left = !is_free && region.reader.is_left.observe() == 1;
        if is_left && region.writer.head.observe() == region.reader.tail.get() && slots(region).all(|slot| slot.line.is_clear()) {
            self.shrink(at);
            self.all[at].is_free = true;
            self.retired.push_back(thread);
            if self.retired.len() > RETIRED
                && let Some(oldest) = self.retired.pop_front()
            {
                self.names.remove(&oldest);
            }
            registry::give_back(region);
        }
    }
}

pub(super) fn frames(region: &'static Region) -> impl DoubleEndedIterator<Item = &'static Frame> {
    region.frames.iter().take(region.writer.depth.observe() as usize)
}

fn folds(region: &'static Region) -> impl Iterator<Item = &'static Fold> {
    (1..=region.writer.folds.observe()).filter_map(|number| region.fold(number))
}

pub(super) fn slots(region: &'static Region) -> impl Iterator<Item = &'static Frame> {
    (1..=region.writer.slots.observe()).filter_map(|number| region.slot(number))
}
