//! Numbered events that the server has not stored yet, in parcels of the sizes that the server accepts.
//!
//! Events are encoded and compressed once. Only the head of the batch is new in each request.

use std::collections::VecDeque;

use monitor_core::queue::{self, Clock, Taken};
use monitor_spool::{Answer, Batches, Head, Lost, Parcel, Rejected, Sent, Settled};
use monitor_wire::{Dropped, Event, RootId, WorkerId, WorkerRef};

use super::spool_slot::SpoolSlot;
use super::worker;
use monitor_spool::now_us;

/// Numbers events and keeps them until the server has stored them or they are given up.
#[derive(Debug)]
pub(super) struct Outbox {
    worker: WorkerRef,
    next_number: u64,
    /// Spool folder, as long as it works.
    slot: Option<SpoolSlot>,
    /// The unsent parts of the first parcel in the slot.
    parts: VecDeque<Parcel>,
    /// Number of the last event of that parcel.
    end: u64,
    /// Parcels in memory, which follow the parcels in the slot, in the order of their numbers.
    parcels: VecDeque<Parcel>,
    /// Size of these parcels in bytes, and their number of events.
    bytes: usize,
    events: u64,
    /// Events that the server can't read, or that the program had no time to keep at its end, with the reason.
    lost: Lost,
    /// True after the offline event, which is the last event.
    has_left: bool,
}

/// A request to send.
#[derive(Debug)]
pub(super) struct Request {
    /// Compressed body; [`content_encoding`](monitor_spool::content_encoding) returns the encoding.
    pub(super) body: Vec<u8>,
    /// Facts about the request that are needed to evaluate its [answer](Answer).
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

    /// Id of this worker.
    pub(super) fn worker(&self) -> WorkerId {
        self.worker.id
    }

    /// Number of the last added event.
    pub(super) fn last(&self) -> u64 {
        self.next_number - 1
    }

    /// Returns the number up to which all events are stored or given up.
    pub(super) fn settled(&self) -> u64 {
        let kept = || self.slot.as_ref().and_then(SpoolSlot::first_waiting);
        let first = self.parts.front().map(Parcel::first).or_else(kept).or_else(|| self.parcels.front().map(Parcel::first));
        first.unwrap_or(self.next_number) - 1
    }

    /// Size of the parcels in memory, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the number of events kept in the spool. `None` if a part of them is only in memory.
    pub(super) fn kept(&self) -> Option<u64> {
        self.slot.as_ref().filter(|_| self.parcels.is_empty()).map(SpoolSlot::waiting)
    }

    /// Numbers events and adds them to the spool, or keeps them in memory if that fails. The latter counts
    /// towards the program's buffer limit.
    pub(super) fn put(&mut self, events: &[Event], taken: &Taken) {
        let Some(parcel) = Parcel::encode(self.next_number, events) else { return };
        self.next_number += parcel.count();
        let dropped = self.dropped();
        if !self.slot.as_mut().is_some_and(|slot| slot.put(&parcel, taken, dropped)) {
            self.hold(&parcel);
            self.parcels.push_back(parcel);
            self.tell_memory();
            if let Some(slot) = &mut self.slot {
                // The process that ships the rest continues numbering after these events.
                slot.advance(self.next_number);
            }
        }
    }

    /// Records in the spool how many events are lost if the program is killed.
    fn tell_memory(&self) {
        if let Some(slot) = &self.slot {
            slot.in_memory(self.events);
        }
    }

    /// Stores the calibration of the clock's ticks, for the process that reads the spool of this program.
    pub(super) fn calibrate(&mut self, clock: Clock) {
        if let Some(slot) = &mut self.slot {
            slot.calibrate(clock);
        }
    }

    /// Adds the offline event. `aside` returns no request afterwards, because a server considers a worker that reports later to be online.
    pub(super) fn leave(&mut self, taken: &Taken) {
        self.put(&[worker::offline()], taken);
        self.has_left = true;
        if let Some(slot) = &self.slot {
            slot.said_goodbye(self.last());
        }
    }

    /// Returns a request for one event that is sent now or never. Its number is used in either case. `None` after the offline event.
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

    /// Counts an event that is lost because the program's end is late.
    pub(super) fn lose(&mut self, event: Rejected) {
        self.lost.add(event, "exit", 1);
    }

    /// Returns the number of these events.
    pub(super) fn lost_at_exit(&self) -> u64 {
        self.lost.count_for("exit")
    }

    /// Returns true if the spool has failed and events are only in memory.
    pub(super) fn has_rest(&self) -> bool {
        self.slot.is_some() && !self.parcels.is_empty()
    }

    /// Writes the parcels in memory to the spool at the end of the program, as far as there is room. Events without room are counted in the
    /// spool. Returns their number and the reason.
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

    /// Deletes the folder, after the server has stored everything.
    pub(super) fn remove(&self) {
        if let Some(slot) = &self.slot {
            slot.remove();
        }
    }

    /// Deletes the files of unnumbered records. The events that the server has not stored are in the journal.
    pub(super) fn remove_memory(&self) {
        if let Some(slot) = &self.slot {
            slot.remove_memory();
        }
    }

    fn first(&self) -> Option<&Parcel> {
        self.parts.front().or(self.parcels.front())
    }

    /// Replaces the next parcel by its unsent parts.
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

    /// Returns the events that this program dropped, and those lost in the spool.
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

/// Returns the events dropped by the queue, and those that the server could not accept.
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

    /// Decodes a request like the server does.
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

    /// Returns the first and last numbers of the remaining batches.
    fn ranges(mut outbox: Outbox) -> Vec<(u64, u64)> {
        let one = || {
            let batch = batch(&next(&mut outbox)?);
            outbox.settle(&Answer::Accepted);
            Some((batch.sequence, batch.last_number()))
        };
        std::iter::from_fn(one).collect()
    }

    #[test]
    fn event_numbers_continue_from_one() {
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
    fn a_kept_batch_is_settled_in_parts_and_no_part_is_sent_again() {
        let dir = tempfile::tempdir().unwrap();
        let settings = monitor_spool::settings::Settings { spool_dir: Some(dir.path().join("spool")), ..Default::default() };
        let worker = worker::identity();
        let slot = SpoolSlot::begin(&settings, &worker).unwrap();
        let mut outbox = Outbox::new(worker, slot);
        outbox.put(&(0..5).map(|_| worker::heartbeat()).collect::<Vec<_>>(), &Taken::default());
        next(&mut outbox).unwrap();
        outbox.settle(&unreadable(2));
        // The first attempt fails.
        next(&mut outbox).unwrap();
        assert_eq!((outbox.settled(), batch(&next(&mut outbox).unwrap()).last_number()), (0, 1));
        outbox.settle(&Answer::Accepted);
        assert_eq!((outbox.settled(), batch(&next(&mut outbox).unwrap()).sequence), (2, 3));
        outbox.settle(&Answer::Accepted);
        assert_eq!((outbox.settled(), outbox.last(), outbox.is_empty()), (5, 5, true));
        assert_eq!(outbox.lost.count_for("rejected"), 1);
    }

    #[test]
    fn a_single_event_that_is_too_large_is_given_up() {
        let mut outbox = outbox(1);
        assert_eq!(outbox.settle(&too_large()), Settled::GivenUp);
        assert!(outbox.is_empty());
        let dropped = batch(&outbox.aside(worker::heartbeat()).unwrap()).dropped;
        assert_eq!((&*dropped[0].reason, &*dropped[0].event_type, dropped[0].count), ("rejected", "worker-heartbeat", 1));
    }
}
