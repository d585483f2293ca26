//! Follows a program of a test launch, and omits the events below tests that passed.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use monitor_wire::ProcessId;

use super::{BYTES, EVENTS, Follower};
use crate::parcel::Parcel;
use crate::passed_tests::{EventHead, EventKey, Fate, PassedTests};
use crate::program;
use crate::sending::{Batches, Settled};
use crate::{Answer, Head};

/// Running time after which the processes below a program are shown, if a slow test has started the program.
const LONGEST: Duration = Duration::from_secs(1);

/// A followed program, together with the decision which of its events are sent.
#[derive(Debug)]
pub struct FollowerOfTests<'a> {
    /// Followed program.
    pub follower: &'a mut Follower,
    /// Decisions for all programs of the launch.
    pub tests: &'a mut PassedTests,
}

/// Events that were read and are not acknowledged. Held events remain in the spool until they are sent or omitted.
#[derive(Debug, Default)]
pub(super) struct Sieve {
    /// Number of the last event that was read.
    read_to: u64,
    /// Events to send, by number.
    shown: BTreeMap<u64, Vec<u8>>,
    /// Undecided events. The key is the test or program whose end decides about them, or the uppermost known process above them.
    held: HashMap<ProcessId, Held>,
    held_bytes: usize,
    /// Tests that run for more than a second, according to the last batches.
    pub(super) slow_tests: Vec<ProcessId>,
    /// True after an unreadable batch. This batch and all later batches wait until the program is dead.
    is_stuck: bool,
}

#[derive(Debug)]
struct Held {
    /// Key of an event in the group.
    key: EventKey,
    since: Instant,
    events: BTreeMap<u64, Vec<u8>>,
    bytes: usize,
}

impl FollowerOfTests<'_> {
    /// Returns the next batch.
    fn next(&mut self) -> Option<Parcel> {
        while (self.follower.sieve.shown.len() as u64) < EVENTS && self.read_on() {}
        self.decide();
        self.follower.acknowledge_settled();
        self.follower.sieve.next()
    }

    /// Reads another batch. Returns false if there is none.
    fn read_on(&mut self) -> bool {
        let Self { follower, tests } = self;
        if follower.sieve.is_stuck {
            return false;
        }
        let Some(parcel) = follower.next() else { return false };
        let json = parcel.json().unwrap_or_default();
        let Some(events) = EventHead::all(&json).filter(|events| events.len() as u64 == parcel.count()) else {
            follower.sieve.is_stuck = true;
            return false;
        };
        follower.at = follower.end;
        let worker = &follower.about.worker;
        tests.learn(worker, events.iter().map(|(_, head)| head));
        tests.show_slow(follower.sieve.slow_tests.drain(..));
        for (number, (event, head)) in (parcel.first()..).zip(&events) {
            // After the program has dropped a part of its journal, the rest is read again. Skip known events.
            if number <= follower.sieve.read_to {
                continue;
            }
            let open = head.key().map(|key| (key, tests.fate(worker, key)));
            match open {
                None | Some((_, Fate::Shown)) => drop(follower.sieve.shown.insert(number, event.to_vec())),
                Some((_, Fate::LeftOut)) => {}
                Some((key, Fate::Open)) => follower.sieve.hold(tests.decided_by(worker, key), key, number, event),
            }
        }
        follower.sieve.read_to = follower.sieve.read_to.max(parcel.last());
        if self.follower.sieve.held_bytes > self.tests.max_held_bytes() {
            self.decide();
            self.limit();
        }
        true
    }

    /// Shows the test with the most held bytes if the limit is exceeded.
    fn limit(&mut self) {
        let Self { follower: Follower { sieve, .. }, tests } = self;
        if sieve.held_bytes > tests.max_held_bytes()
            && let Some(largest) = sieve.held.values().max_by_key(|held| held.bytes)
        {
            tests.show(largest.key);
            self.decide();
        }
    }

    /// Releases or drops held events that are decided.
    fn decide(&mut self) {
        let Self { follower, tests } = self;
        let Sieve { held, held_bytes, shown, .. } = &mut follower.sieve;
        held.retain(|_, held| {
            let worker = &follower.about.worker;
            if held.since.elapsed() >= LONGEST {
                tests.show_program(worker, held.key);
            }
            let mut fate = tests.fate(worker, held.key);
            if fate == Fate::Open && held.since.elapsed() >= tests.longest_wait() && !tests.has_test(held.key) {
                tests.show(held.key);
                fate = Fate::Shown;
            }
            if fate == Fate::Shown {
                shown.append(&mut held.events);
            }
            if fate != Fate::Open {
                *held_bytes -= held.bytes;
            }
            fate == Fate::Open
        });
    }
}

impl Sieve {
    fn hold(&mut self, top: ProcessId, key: EventKey, number: u64, event: &[u8]) {
        let held = self.held.entry(top).or_insert_with(|| Held { key, since: Instant::now(), events: BTreeMap::new(), bytes: 0 });
        held.events.insert(number, event.to_vec());
        held.bytes += event.len();
        self.held_bytes += event.len();
    }

    /// Returns the first events with consecutive numbers.
    fn next(&self) -> Option<Parcel> {
        let first = *self.shown.first_key_value()?.0;
        let (mut events, mut bytes) = (Vec::new(), 0);
        for (number, event) in (first..).zip(&self.shown).map_while(|(number, (own, event))| (number == *own).then_some((number, event))) {
            bytes += event.len();
            if number - first >= EVENTS || bytes > BYTES && !events.is_empty() {
                break;
            }
            events.push(&event[..]);
        }
        Parcel::of_json(first, &events)
    }

    /// Returns the number of the last event before the first pending event.
    fn settled_to(&self) -> u64 {
        let held = self.held.values().filter_map(|held| held.events.keys().next());
        held.chain(self.shown.keys().next()).min().map_or(self.read_to, |first| first - 1)
    }
}

impl Follower {
    fn acknowledge_settled(&mut self) {
        let settled = self.sieve.settled_to();
        if settled > self.acknowledged {
            self.acknowledged = settled;
            let _ = program::follow(&self.dir, settled);
        }
    }
}

impl Batches for FollowerOfTests<'_> {
    fn request<T>(&mut self, sent_us: u64, make: impl FnOnce(&Parcel, &Head<'_>) -> T) -> Option<T> {
        let parcel = self.next()?;
        let follower = &mut *self.follower;
        follower.last = parcel.last();
        Some(make(&parcel, &Head { worker: &follower.about.worker, sent_us, dropped: &follower.dropped, lost: false }))
    }

    /// Keeps a batch that isn't accepted, as `Follower` does.
    fn settle(&mut self, answer: &Answer) -> Settled {
        if *answer != Answer::Accepted {
            return Settled::Waits;
        }
        let follower = &mut *self.follower;
        follower.sieve.shown = follower.sieve.shown.split_off(&(follower.last + 1));
        follower.acknowledge_settled();
        Settled::Taken
    }
}
