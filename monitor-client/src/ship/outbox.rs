//! What is on its way: numbered events until the server has them, cut as the server wants them.

use std::collections::{BTreeMap, VecDeque};

use monitor_wire::{Batch, Dropped, Event, RootId, VERSION, WorkerRef};

use super::now_us;

/// Events of one number after another.
#[derive(Debug)]
struct Parcel {
    first: u64,
    events: Vec<Event>,
}

/// Numbers events and keeps them until they are taken or given up.
#[derive(Debug)]
pub(super) struct Outbox {
    worker: WorkerRef,
    next_number: u64,
    /// In the order of their numbers; the first one is the next to go.
    parcels: VecDeque<Parcel>,
    /// Events that the server can't read, by type and tree.
    rejected: BTreeMap<(String, Option<RootId>), u64>,
}

impl Outbox {
    pub(super) fn new(worker: WorkerRef) -> Self {
        Self { worker, next_number: 1, parcels: VecDeque::new(), rejected: BTreeMap::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parcels.is_empty()
    }

    /// Gives events their numbers.
    pub(super) fn put(&mut self, events: Vec<Event>) {
        if !events.is_empty() {
            let first = self.next_number;
            self.next_number += events.len() as u64;
            self.parcels.push_back(Parcel { first, events });
        }
    }

    /// A batch of one event that is worth sending now or never; its number is used up either way.
    pub(super) fn aside(&mut self, event: Event) -> Batch {
        let sequence = self.next_number;
        self.next_number += 1;
        self.batch(sequence, vec![event])
    }

    /// The batch that is next, if there is one.
    pub(super) fn next(&mut self) -> Option<Batch> {
        let parcel = self.parcels.pop_front()?;
        Some(self.batch(parcel.first, parcel.events))
    }

    /// The batch was not taken: it is next again.
    pub(super) fn keep(&mut self, batch: Batch) {
        self.parcels.push_front(Parcel { first: batch.sequence, events: batch.events });
    }

    /// The batch is too large, or can't be read as a whole: in halves. One event alone is given up.
    pub(super) fn halve(&mut self, mut batch: Batch) {
        if let [event] = &batch.events[..] {
            let event = event.clone();
            self.reject(&event);
            return;
        }
        let behind = batch.events.split_off(batch.events.len() / 2);
        self.parcels.push_front(Parcel { first: batch.sequence + batch.events.len() as u64, events: behind });
        self.keep(batch);
    }

    /// One event of the batch can't be read: it is given up, and what stands before and behind it is sent on.
    pub(super) fn without(&mut self, mut batch: Batch, number: u64) {
        let index = number.checked_sub(batch.sequence).map_or(usize::MAX, |index| index as usize);
        if index >= batch.events.len() {
            return self.halve(batch);
        }
        let behind = batch.events.split_off(index + 1);
        if let Some(event) = batch.events.pop() {
            self.reject(&event);
        }
        if !behind.is_empty() {
            self.parcels.push_front(Parcel { first: number + 1, events: behind });
        }
        if !batch.events.is_empty() {
            self.keep(batch);
        }
    }

    fn reject(&mut self, event: &Event) {
        let root = match event {
            Event::ProcessStarted(event) => Some(event.root_id),
            Event::ProcessUpdated(event) => Some(event.root_id),
            Event::ProcessFolded(event) => Some(event.root_id),
            Event::ProcessEnded(event) => Some(event.root_id),
            _ => None,
        };
        *self.rejected.entry((event.type_name().to_owned(), root)).or_default() += 1;
    }

    fn batch(&self, sequence: u64, events: Vec<Event>) -> Batch {
        let full = monitor_core::queue::dropped().into_iter().map(|(drop, count)| Dropped {
            event_type: drop.event.to_owned(),
            reason: "memory".to_owned(),
            root_id: drop.root.and_then(RootId::new),
            count,
        });
        let rejected = self.rejected.iter().map(|((event_type, root_id), count)| Dropped {
            event_type: event_type.clone(),
            reason: "rejected".to_owned(),
            root_id: *root_id,
            count: *count,
        });
        Batch {
            version: VERSION,
            worker: self.worker.clone(),
            sequence,
            sent_us: now_us(),
            dropped: full.chain(rejected).collect(),
            events,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ship::worker;

    fn outbox(count: usize) -> Outbox {
        let mut outbox = Outbox::new(worker::identity());
        outbox.put((0..count).map(|_| worker::heartbeat()).collect());
        outbox
    }

    /// Numbers of the batches that are left, first to last.
    fn ranges(mut outbox: Outbox) -> Vec<(u64, u64)> {
        std::iter::from_fn(|| outbox.next()).map(|batch| (batch.sequence, batch.last_number())).collect()
    }

    #[test]
    fn numbers_go_on_from_one() {
        let mut outbox = outbox(3);
        outbox.put(vec![]);
        assert_eq!(outbox.aside(worker::heartbeat()).sequence, 4);
        outbox.put(vec![worker::offline()]);
        assert_eq!(ranges(outbox), [(1, 3), (5, 5)]);
    }

    #[test]
    fn a_batch_that_is_kept_or_halved_keeps_its_numbers() {
        let mut outbox = outbox(5);
        let batch = outbox.next().unwrap();
        outbox.keep(batch);
        let batch = outbox.next().unwrap();
        outbox.halve(batch);
        assert_eq!(ranges(outbox), [(1, 2), (3, 5)]);
    }

    #[test]
    fn an_unreadable_event_is_counted_and_the_rest_is_sent() {
        for (number, left) in [(1, vec![(2, 5)]), (3, vec![(1, 2), (4, 5)]), (5, vec![(1, 4)]), (77, vec![(1, 2), (3, 5)])] {
            let mut outbox = outbox(5);
            let batch = outbox.next().unwrap();
            outbox.without(batch, number);
            let rejected: u64 = outbox.rejected.values().sum();
            assert_eq!((ranges(outbox), rejected), (left, u64::from(number <= 5)), "{number}");
        }
    }

    #[test]
    fn one_event_that_can_not_be_halved_is_given_up() {
        let mut outbox = outbox(1);
        let batch = outbox.next().unwrap();
        outbox.halve(batch);
        assert!(outbox.is_empty());
        assert_eq!(outbox.aside(worker::heartbeat()).dropped[0].reason, "rejected");
    }
}
