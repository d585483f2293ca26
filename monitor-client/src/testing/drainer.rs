//! Replaces the shipper in tests: drains the records and sorts them by the roots of the running tests.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use monitor_core::queue::{self, Receiver};
use monitor_core::record::{Origin, Record, Started};
use monitor_core::{Context, fold, switch};

use super::Recorded;

/// Size of the buffer for the records of all tests that run at the same time.
const ROOM_BYTES: usize = 512 << 20;
/// Maximum number of processes outside of any root that are listed.
const MOST_OUTSIDE: usize = 20;

static IS_WANTED: AtomicBool = AtomicBool::new(false);
static DRAINER: OnceLock<Mutex<Drainer>> = OnceLock::new();

/// Returns true if this program records for its own tests. Nothing is shipped then.
#[cfg(feature = "ship")]
pub(crate) fn is_wanted() -> bool {
    IS_WANTED.load(Ordering::Acquire)
}

struct Drainer {
    receiver: Receiver,
    /// Records of the running tests, by root.
    running: HashMap<u128, Vec<Record>>,
    /// Roots of tests that have ended. Late records of these roots are dropped.
    over: HashSet<u128>,
    /// Descriptions of the first processes that began outside of any root. `outside_count` is the number of all of them.
    outside: Vec<String>,
    outside_count: usize,
}

impl Drainer {
    fn open() -> Mutex<Self> {
        IS_WANTED.store(true, Ordering::Release);
        // A thread that decided about shipping concurrently has finished: either it saw `IS_WANTED`, or the switch is on.
        let is_shipping = switch::is_on();
        let receiver = if is_shipping { None } else { queue::open(ROOM_BYTES) };
        let receiver = receiver.expect(
            "this program records for a server already: unset MONITOR_ENABLED, or call monitor_client::testing::record before any other monitored call",
        );
        fold::set_after(u64::MAX);
        switch::turn_on();
        let (running, over) = (HashMap::new(), HashSet::new());
        Mutex::new(Drainer { receiver, running, over, outside: Vec::new(), outside_count: 0 })
    }

    fn lock() -> MutexGuard<'static, Self> {
        DRAINER.get_or_init(Self::open).lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drains everything recorded up to now.
    fn drain(&mut self) {
        let mark = self.receiver.mark();
        loop {
            self.receiver.look(Duration::ZERO);
            while let Some(entry) = self.receiver.take() {
                self.receiver.release(entry.bytes);
                self.sort(entry.record);
            }
            self.receiver.commit();
            if self.receiver.is_past(&mark) {
                return;
            }
        }
    }

    fn sort(&mut self, record: Record) {
        let root = match &record {
            Record::Started(of) => of.root,
            Record::Ended(of) => of.root,
            Record::Updated(of) => of.root,
            Record::Logged(of) => of.root,
            Record::Progressed(of) => of.root,
            Record::Task(of) => of.root,
            Record::Folded(of) => of.root,
            #[allow(unreachable_patterns, reason = "there may be more kinds of records")]
            _ => return,
        };
        if let Some(records) = self.running.get_mut(&root) {
            records.push(record);
        } else if let Record::Started(started) = record
            && !self.over.contains(&root)
        {
            self.outside_count += 1;
            if self.outside.len() < MOST_OUTSIDE {
                self.outside.push(described(&started));
            }
        }
    }
}

fn described(started: &Started) -> String {
    let (name, place) = match &started.origin {
        Origin::Site(site) => (site.name, Some((site.file, site.line))),
        Origin::Named(named) => (named.name.as_str(), named.place.map(|place| (place.file(), place.line()))),
    };
    let place = place.map(|(file, line)| format!("{file}:{line}, ")).unwrap_or_default();
    format!("{name} ({place}thread {})", started.thread)
}

/// A test that is recording.
pub(super) struct Session {
    context: Context,
    outside_before: usize,
}

impl Session {
    pub(super) fn begin() -> Self {
        let random = || RandomState::new().hash_one(0) | 1;
        let process = random();
        let context = Context::new(u128::from(random()) << 64 | u128::from(process), process).expect("neither is zero");
        let mut drainer = Drainer::lock();
        drainer.drain();
        drainer.running.insert(context.root(), Vec::new());
        Session { context, outside_before: drainer.outside_count }
    }

    pub(super) fn context(&self) -> Context {
        self.context
    }

    /// Returns everything recorded below the root up to now.
    pub(super) fn end(self) -> Recorded {
        let mut drainer = Drainer::lock();
        drainer.drain();
        let root = self.context.root();
        let records = drainer.running.get_mut(&root).map(std::mem::take).unwrap_or_default();
        let outside_count = drainer.outside_count - self.outside_before;
        let outside = drainer.outside.iter().skip(self.outside_before).cloned().collect();
        let dropped = queue::dropped().iter().filter(|(key, _)| key.root.is_none_or(|of| of == root)).map(|(_, count)| count).sum();
        drop(drainer);
        Recorded::new(records, outside, outside_count, dropped)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut drainer = Drainer::lock();
        drainer.running.remove(&self.context.root());
        drainer.over.insert(self.context.root());
    }
}
