//! What is on its way: numbered events until the server has them, cut as the server wants them.
//!
//! Events are encoded and compressed once. However often a parcel is sent, only what stands around its events is new.

use std::collections::VecDeque;

use monitor_core::queue::{self, Clock, Taken};
use monitor_spool::{Answer, Batches, Head, Lost, Parcel, Rejected, Sent, Settled};
use monitor_wire::{Dropped, Event, RootId, WorkerId, WorkerRef};

use super::spool_slot::SpoolSlot;
use super::worker;
use monitor_spool::now_us;

/// Numbers events and keeps them until they are taken or given up.
#[derive(Debug)]
pub(super) struct Outbox {
    worker: WorkerRef,
    next_number: u64,
    /// Where they are kept, as long as it works.
    slot: Option<SpoolSlot>,
    /// Parts of the first parcel in the slot: what is left of it to be sent.
    parts: VecDeque<Parcel>,
    /// Number of the last event of that parcel.
    end: u64,
    /// Behind what is in the slot, in the order of their numbers.
    parcels: VecDeque<Parcel>,
    /// Bytes of these, and how many events they are.
    bytes: usize,
    events: u64,
    /// Events that the server can't read, or that the end of the program had no time for, and why.
    lost: Lost,
    /// True after the goodbye, the last event.
    has_left: bool,
}

/// A request as it is sent.
#[derive(Debug)]
pub(super) struct Request {
    /// Compressed; [`content_encoding`](monitor_spool::content_encoding) says how.
    pub(super) body: Vec<u8>,
    /// What the rule of [answers](Answer) needs to know of it.
    pub(super) sent: Sent,
}

impl Request {
    pub(super) fn of(parcel: &Parcel, head: &Head<'_>) -> Self {
        Self { body: parcel.body(head), sent: parcel.sent() }
    }
}

impl Outbox {
    pub(super) fn new(worker: WorkerRef, slot: Option<SpoolSlot>) -> Self {
        Self {
            worker,
            next_number: 1,
            slot,
            parts: VecDeque::new(),
            end: 0,
            parcels: VecDeque::new(),
            bytes: 0,
            events: 0,
            lost: Lost::default(),
            has_left: false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.parcels.is_empty() && self.slot.as_ref().is_none_or(SpoolSlot::is_empty)
    }

    /// The worker's own id.
    pub(super) fn worker(&self) -> WorkerId {
        self.worker.id
    }

    /// Number of the last event that was put in.
    pub(super) fn last(&self) -> u64 {
        self.next_number - 1
    }

    /// All events up to this number are stored or given up.
    pub(super) fn settled(&self) -> u64 {
        let kept = || self.slot.as_ref().and_then(SpoolSlot::first_waiting);
        let first = self.parts.front().map(Parcel::first).or_else(kept).or_else(|| self.parcels.front().map(Parcel::first));
        first.unwrap_or(self.next_number) - 1
    }

    /// What it holds in memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Events that are kept for whoever comes after this program; none if some are in memory alone.
    pub(super) fn kept(&self) -> Option<u64> {
        self.slot.as_ref().filter(|_| self.parcels.is_empty()).map(SpoolSlot::waiting)
    }

    /// Gives events their numbers. What it keeps of them in memory counts among what the program may hold.
    pub(super) fn put(&mut self, events: &[Event], taken: &Taken) {
        let Some(parcel) = Parcel::encode(self.next_number, events) else { return };
        self.next_number += parcel.count();
        let dropped = self.dropped();
        if !self.slot.as_mut().is_some_and(|slot| slot.put(&parcel, taken, dropped)) {
            self.hold(&parcel);
            self.parcels.push_back(parcel);
            self.tell_memory();
            if let Some(slot) = &mut self.slot {
                // The process that ships the rest numbers its events behind these.
                slot.advance(self.next_number);
            }
        }
    }

    /// Notes in the spool how many events a kill of the program would cost.
    fn tell_memory(&self) {
        if let Some(slot) = &self.slot {
            slot.in_memory(self.events);
        }
    }

    /// What ticks mean, for who reads what this program leaves.
    pub(super) fn calibrate(&mut self, clock: Clock) {
        if let Some(slot) = &mut self.slot {
            slot.calibrate(clock);
        }
    }

    /// Puts the goodbye, after which nothing is sent aside: to the server, a worker that reports later is there again.
    pub(super) fn leave(&mut self, taken: &Taken) {
        self.put(&[worker::offline()], taken);
        self.has_left = true;
        if let Some(slot) = &self.slot {
            slot.said_goodbye(self.last());
        }
    }

    /// A request of one event that is worth sending now or never; its number is used up either way. None after the goodbye.
    pub(super) fn aside(&mut self, event: Event) -> Option<Request> {
        if self.has_left {
            return None;
        }
        let parcel = Parcel::encode(self.next_number, &[event])?;
        self.next_number += 1;
        if let Some(slot) = &mut self.slot {
            slot.advance(self.next_number);
        }
        Some(Request::of(&parcel, &self.head(now_us(), &self.all_dropped())))
    }

    /// Counts an event that the end of the program had no time for.
    pub(super) fn lose(&mut self, event: Rejected) {
        self.lost.add(event, "exit", 1);
    }

    /// How many of these there were.
    pub(super) fn lost_at_exit(&self) -> u64 {
        self.lost.count_for("exit")
    }

    /// Returns true if the spool works no more, and events are in memory alone.
    pub(super) fn has_rest(&self) -> bool {
        self.slot.is_some() && !self.parcels.is_empty()
    }

    /// The program ends: puts what is in memory alone into the spool, as far as that has room. What has none is counted there. Returns
    /// how many events that were, and why.
    pub(super) fn keep_rest(&mut self) -> Option<(u64, String)> {
        let goodbye = self.last();
        let spool = self.slot.as_mut().filter(|_| !self.parcels.is_empty())?;
        spool.remove_memory();
        let lost =
            |of: &SpoolSlot| of.dropped().iter().filter(|dropped| dropped.reason == "spool").map(|dropped| dropped.count).sum::<u64>();
        let (before, mut first) = (lost(spool), None);
        for parcel in std::mem::take(&mut self.parcels) {
            queue::release(parcel.bytes());
            let dropped = dropped(&self.lost);
            first = first.or(spool.put_last(&parcel, dropped));
        }
        (self.bytes, self.events) = (0, 0);
        spool.in_memory(0);
        spool.said_goodbye(goodbye);
        let count = lost(spool) - before;
        first.filter(|_| count > 0).map(|why| (count, why.to_string()))
    }

    /// All is said: nothing is left behind.
    pub(super) fn remove(&self) {
        if let Some(slot) = &self.slot {
            slot.remove();
        }
    }

    /// All is said, and what the server has not is numbered: nothing else is left behind.
    pub(super) fn remove_memory(&self) {
        if let Some(slot) = &self.slot {
            slot.remove_memory();
        }
    }

    fn first(&self) -> Option<&Parcel> {
        self.parts.front().or(self.parcels.front())
    }

    /// Puts what is left of what was next in its place.
    fn replace(&mut self, left: [Option<Parcel>; 2]) {
        if let Some(settled) = self.parts.pop_front() {
            let is_all = left.iter().all(Option::is_none);
            for parcel in left.into_iter().flatten().rev() {
                self.parts.push_front(parcel);
            }
            if is_all && let Some(slot) = &mut self.slot {
                slot.acknowledge(if self.parts.is_empty() { self.end } else { settled.last() });
            }
            return;
        }
        if let Some(settled) = self.parcels.pop_front() {
            queue::release(settled.bytes());
            self.bytes -= settled.bytes();
            self.events -= settled.count();
        }
        for parcel in left.into_iter().flatten().rev() {
            self.hold(&parcel);
            self.parcels.push_front(parcel);
        }
        self.tell_memory();
    }

    fn hold(&mut self, parcel: &Parcel) {
        queue::hold(parcel.bytes());
        self.bytes += parcel.bytes();
        self.events += parcel.count();
    }

    fn head<'a>(&'a self, sent_us: u64, dropped: &'a [Dropped]) -> Head<'a> {
        Head { worker: &self.worker, sent_us, dropped, lost: false }
    }

    /// What was dropped by this program, and what was lost on the way through the spool.
    fn all_dropped(&self) -> Vec<Dropped> {
        let mut dropped = self.dropped();
        dropped.extend(self.slot.as_ref().map(SpoolSlot::dropped).unwrap_or_default());
        dropped
    }

    pub(super) fn dropped(&self) -> Vec<Dropped> {
        dropped(&self.lost)
    }
}

impl Batches for Outbox {
    fn request<T>(&mut self, sent_us: u64, make: impl FnOnce(&Parcel, &Head<'_>) -> T) -> Option<T> {
        if self.parts.is_empty()
            && let Some(parcel) = self.slot.as_mut().and_then(SpoolSlot::front)
        {
            self.end = parcel.last();
            self.parts.push_back(parcel);
        }
        let dropped = self.all_dropped();
        self.first().map(|parcel| make(parcel, &self.head(sent_us, &dropped)))
    }

    fn settle(&mut self, answer: &Answer) -> Settled {
        let Some(parcel) = self.first() else { return Settled::Waits };
        let (given_up, left) = match answer {
            Answer::Accepted => (Vec::new(), [None, None]),
            Answer::TooLarge { .. } => match parcel.halve() {
                Some((before, behind)) => (Vec::new(), [Some(before), Some(behind)]),
                None => (parcel.kinds(), [None, None]),
            },
            Answer::Unreadable { number, .. } => match parcel.without(*number) {
                Some((before, rejected, behind)) => (vec![rejected], [before, behind]),
                None => (parcel.kinds(), [None, None]),
            },
            Answer::Busy { .. } | Answer::Refused { .. } | Answer::Away { .. } => return Settled::Waits,
        };
        let settled = if given_up.is_empty() { Settled::Taken } else { Settled::GivenUp };
        for event in given_up {
            self.lost.add(event, "rejected", 1);
        }
        self.replace(left);
        settled
    }
}

/// What was dropped on the way here, and what the server could not take.
fn dropped(lost: &Lost) -> Vec<Dropped> {
    let full = queue::dropped().into_iter().map(|(drop, count)| Dropped {
        event_type: drop.event.to_owned(),
        reason: drop.reason.to_owned(),
        root_id: drop.root.and_then(RootId::new),
        count,
    });
    full.chain(lost.dropped()).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use monitor_wire::Batch;

    use super::*;

    fn outbox(count: usize) -> Outbox {
        let mut outbox = Outbox::new(worker::identity(), None);
        outbox.put(&(0..count).map(|_| worker::heartbeat()).collect::<Vec<_>>(), &Taken::default());
        outbox
    }

    fn too_large() -> Answer {
        Answer::TooLarge { why: String::new() }
    }

    fn unreadable(number: u64) -> Answer {
        Answer::Unreadable { number, why: String::new() }
    }

    fn next(outbox: &mut Outbox) -> Option<Request> {
        outbox.request(now_us(), Request::of)
    }

    /// As the server reads it.
    fn batch(request: &Request) -> Batch {
        let mut json = Vec::new();
        if monitor_spool::content_encoding(&request.body) == "gzip" {
            flate2::read::MultiGzDecoder::new(&*request.body).read_to_end(&mut json).unwrap();
        } else {
            zstd::Decoder::new(&*request.body).unwrap().read_to_end(&mut json).unwrap();
        }
        let batch = Batch::from_json(&json).unwrap();
        assert_eq!(batch.last_number(), request.sent.last);
        batch
    }

    /// Numbers of the batches that are left, first to last.
    fn ranges(mut outbox: Outbox) -> Vec<(u64, u64)> {
        let one = || {
            let batch = batch(&next(&mut outbox)?);
            outbox.settle(&Answer::Accepted);
            Some((batch.sequence, batch.last_number()))
        };
        std::iter::from_fn(one).collect()
    }

    #[test]
    fn numbers_go_on_from_one() {
        let mut outbox = outbox(3);
        outbox.put(&[], &Taken::default());
        assert_eq!(batch(&outbox.aside(worker::heartbeat()).unwrap()).sequence, 4);
        outbox.leave(&Taken::default());
        assert!(outbox.aside(worker::heartbeat()).is_none(), "nothing is later than the goodbye");
        assert_eq!(ranges(outbox), [(1, 3), (5, 5)]);
    }

    #[test]
    fn a_batch_that_is_kept_or_halved_keeps_its_numbers() {
        let mut outbox = outbox(5);
        assert_eq!(batch(&next(&mut outbox).unwrap()).events, batch(&next(&mut outbox).unwrap()).events);
        outbox.settle(&too_large());
        assert_eq!(ranges(outbox), [(1, 2), (3, 5)]);
    }

    #[test]
    fn an_unreadable_event_is_counted_and_the_rest_is_sent() {
        for (number, left) in [(1, vec![(2, 5)]), (3, vec![(1, 2), (4, 5)]), (5, vec![(1, 4)])] {
            let mut outbox = outbox(5);
            assert_eq!(outbox.settle(&unreadable(number)), Settled::GivenUp);
            let rejected = outbox.lost.count_for("rejected");
            assert_eq!((ranges(outbox), rejected), (left, 1), "{number}");
        }
    }

    #[test]
    fn what_is_kept_is_settled_part_by_part_and_nothing_of_it_is_asked_twice() {
        let dir = tempfile::tempdir().unwrap();
        let settings = monitor_spool::settings::Settings { spool_dir: Some(dir.path().join("spool")), ..Default::default() };
        let worker = worker::identity();
        let slot = SpoolSlot::begin(&settings, &worker).unwrap();
        let mut outbox = Outbox::new(worker, slot);
        outbox.put(&(0..5).map(|_| worker::heartbeat()).collect::<Vec<_>>(), &Taken::default());
        next(&mut outbox).unwrap();
        outbox.settle(&unreadable(2));
        // Not taken the first time.
        next(&mut outbox).unwrap();
        assert_eq!((outbox.settled(), batch(&next(&mut outbox).unwrap()).last_number()), (0, 1));
        outbox.settle(&Answer::Accepted);
        assert_eq!((outbox.settled(), batch(&next(&mut outbox).unwrap()).sequence), (2, 3));
        outbox.settle(&Answer::Accepted);
        assert_eq!((outbox.settled(), outbox.last(), outbox.is_empty()), (5, 5, true));
        assert_eq!(outbox.lost.count_for("rejected"), 1);
    }

    #[test]
    fn one_event_that_can_not_be_halved_is_given_up() {
        let mut outbox = outbox(1);
        assert_eq!(outbox.settle(&too_large()), Settled::GivenUp);
        assert!(outbox.is_empty());
        let dropped = batch(&outbox.aside(worker::heartbeat()).unwrap()).dropped;
        assert_eq!((&*dropped[0].reason, &*dropped[0].event_type, dropped[0].count), ("rejected", "worker-heartbeat", 1));
    }
}
