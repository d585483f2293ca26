//! The reading side of the rings. There is one reader in a program.

#![allow(unsafe_code, reason = "gives back segments that were read to their end")]

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use super::layout::{ENDED_IN_SLOT, Frame, RUNNING, Region, SegmentRef, Words};
use super::{Ending, Facts, registry};
use crate::queue;
use crate::record::{Attachment, Site};

/// Names of ended threads that are kept for records in the rings of others.
const RETIRED: usize = 1_024;

/// Something that began, and maybe ended, since the last look.
pub(crate) struct Seen {
    pub(crate) id: u64,
    pub(crate) parent: u64,
    pub(crate) root: u128,
    pub(crate) site: &'static Site,
    pub(crate) thread: Arc<str>,
    pub(crate) attachment: Attachment,
    /// In ticks.
    pub(crate) start: u64,
    /// Its start was not told before.
    pub(crate) is_new: bool,
    /// When and how it ended.
    pub(crate) end: Option<(u64, Ending)>,
}

/// All rings of the program, and what was told of them.
#[derive(Debug, Default)]
pub(crate) struct Rings {
    all: Vec<Ring>,
    names: HashMap<u64, Arc<str>>,
    retired: VecDeque<u64>,
    news_seen: u64,
    /// Who runs and is told to have begun.
    announced: HashSet<u64>,
    /// The ring that is read first, so that none is always the last.
    first: usize,
    /// Slots whose ends were told and are not freed yet, and their regions.
    told: Vec<(&'static Region, &'static Frame)>,
    /// Segments that were read to their end and are not given back yet, and their regions.
    left: Vec<(&'static Region, SegmentRef)>,
}

#[derive(Debug)]
struct Ring {
    region: &'static Region,
    /// The segment that is read.
    segment: SegmentRef,
    /// Records that were taken.
    taken: u64,
    thread: u64,
    /// It waits for a thread.
    is_free: bool,
}

impl Rings {
    /// Tells what has ended, and of what runs all that began before `begun_before` (in ticks) and was not told yet; of each
    /// `limit` at most. Nothing is freed before the next [`commit`](Self::commit), which there has to be before the next look.
    pub(crate) fn look(&mut self, limit: usize, begun_before: u64, mut tell: impl FnMut(Seen)) {
        self.meet();
        let mut left = limit;
        self.first += 1;
        for turn in 0..self.all.len() {
            let at = (self.first + turn) % self.all.len();
            left -= self.read(at, left, &mut tell);
        }
        // After the records: the frame of what they tell is gone, so nothing is told as running that was told as ended.
        let mut running = limit;
        for at in 0..self.all.len() {
            let region = self.all[at].region;
            for frame in frames(region) {
                running -= self.running(frame, running, begun_before, &mut tell);
            }
            for slot in slots(region) {
                left -= self.ended_in_slot(region, slot, left, &mut tell);
                running -= self.running(slot, running, begun_before, &mut tell);
            }
        }
    }

    /// Frees what the last look has told.
    pub(crate) fn commit(&mut self) {
        for ring in &self.all {
            ring.region.reader.tail.publish(ring.taken);
        }
        for (region, segment) in self.left.drain(..) {
            let bytes = segment.bytes();
            // SAFETY: the writer has left it before it said where it ends, and all of it was read; keeper and region are its own.
            unsafe { segment.free(queue::keeper(), region.number()) };
            queue::release_ring(bytes);
        }
        for (region, slot) in self.told.drain(..) {
            slot.line.clear();
            region.reader.freed.count();
        }
        for at in 0..self.all.len() {
            self.recycle(at);
        }
    }

    /// How many records were taken out of each region.
    pub(crate) fn taken(&self) -> impl Iterator<Item = (u32, u64)> {
        self.all.iter().map(|ring| (ring.region.number(), ring.taken))
    }

    /// Whether [`look`](Self::look) would find something, now or when it has run long enough.
    pub(crate) fn has_news(&self) -> bool {
        registry::has_news(self.news_seen)
            || self.all.iter().any(|ring| {
                let Ring { region, is_free, taken, .. } = *ring;
                let told = |frame: &Frame| {
                    frame.line.is_clear() || frame.line.read(RUNNING).is_some_and(|words| self.announced.contains(&words.id))
                };
                region.writer.head.observe() != taken
                    || !frames(region).all(told)
                    || !slots(region).all(told)
                    || (!is_free && region.reader.is_left.observe() == 1 && slots(region).all(|slot| slot.line.is_clear()))
            })
    }

    /// An end that came by another way.
    pub(crate) fn forget(&mut self, id: u64) {
        self.announced.remove(&id);
    }

    pub(crate) fn was_announced(&self, id: u64) -> bool {
        self.announced.contains(&id)
    }

    fn meet(&mut self) {
        for news in registry::news(&mut self.news_seen) {
            self.names.insert(news.thread, news.name);
            if let Some(segment) = news.segment {
                self.all.push(Ring { region: news.region, segment, taken: 0, thread: news.thread, is_free: false });
            } else if let Some(ring) = self.all.iter_mut().find(|ring| std::ptr::eq(ring.region, news.region)) {
                (ring.thread, ring.is_free) = (news.thread, false);
            }
        }
    }

    /// Takes records out of a ring. How many.
    fn read(&mut self, at: usize, limit: usize, tell: &mut impl FnMut(Seen)) -> usize {
        let Ring { region, mut segment, taken: from, .. } = self.all[at];
        let to = region.writer.head.observe().min(from + limit as u64);
        for number in from..to {
            while let Some((next, _)) = segment.next().filter(|(_, end)| *end <= number) {
                self.left.push((region, segment));
                segment = next;
            }
            match segment.line(number).read(number) {
                Some(words) => self.ended(words, tell),
                None => queue::count_unreadable(),
            }
        }
        (self.all[at].taken, self.all[at].segment) = (to, segment);
        (to - from) as usize
    }

    fn ended(&mut self, words: Words, tell: &mut impl FnMut(Seen)) {
        let is_new = !self.announced.remove(&words.id);
        if let Some(seen) = self.seen(words, is_new, Some((words.end, Facts(words.facts).ending()))) {
            tell(seen);
        }
    }

    /// Tells what runs in a frame. How many: none or one.
    fn running(&mut self, frame: &Frame, limit: usize, begun_before: u64, tell: &mut impl FnMut(Seen)) -> usize {
        // One that can't be read is just being written: the next look will see it, or its record.
        let Some(words) = frame.line.read(RUNNING).filter(|words| limit > 0 && words.start <= begun_before) else { return 0 };
        if !self.announced.insert(words.id) {
            return 0;
        }
        self.seen(words, true, None).map_or(0, |seen| {
            tell(seen);
            1
        })
    }

    fn ended_in_slot(&mut self, region: &'static Region, slot: &'static Frame, limit: usize, tell: &mut impl FnMut(Seen)) -> usize {
        let Some(words) = slot.line.read(ENDED_IN_SLOT).filter(|_| limit > 0) else { return 0 };
        self.ended(words, tell);
        self.told.push((region, slot));
        1
    }

    fn seen(&self, words: Words, is_new: bool, end: Option<(u64, Ending)>) -> Option<Seen> {
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

    /// Gives a region to the next thread when nothing of its last one is left.
    fn recycle(&mut self, at: usize) {
        let Ring { region, thread, is_free, .. } = self.all[at];
        let is_left = !is_free && region.reader.is_left.observe() == 1;
        if is_left && region.writer.head.observe() == region.reader.tail.get() && slots(region).all(|slot| slot.line.is_clear()) {
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

fn frames(region: &'static Region) -> impl Iterator<Item = &'static Frame> {
    region.frames.iter().take(region.writer.depth.observe() as usize)
}

fn slots(region: &'static Region) -> impl Iterator<Item = &'static Frame> {
    (1..=region.writer.slots.observe()).filter_map(|number| region.slot(number))
}
