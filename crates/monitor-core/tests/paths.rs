//! Tests woven calls that are too long to be brief: after some calls of a path, further ones are counted.

#![cfg(feature = "record")]

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use monitor_core::private::{Guard, How, Site, site};
use monitor_core::record::{Origin, Record};
use monitor_core::{Process, fold, queue, switch};

/// Maximum number of individually reported calls of a path: ten, and those that are slow, because between a millisecond and a second each
/// reported call must take twice as long as the previous one. Doubled, because a scan may take a call before its caller, and then does not
/// know its path.
const SINGLY: usize = 2 * (10 + 10);

/// All reported and counted calls by name.
#[derive(Default)]
struct Told {
    ids: HashSet<u64>,
    parents: HashSet<u64>,
    singly: HashMap<String, usize>,
    ended: HashSet<u64>,
    /// Latest count of each fold.
    counted: HashMap<u64, (String, u64)>,
}

impl Told {
    fn take(&mut self, receiver: &mut queue::Receiver) {
        while let Some(entry) = receiver.take() {
            receiver.release(entry.bytes);
            match entry.record {
                Record::Started(started) => {
                    self.parents.insert(started.parent);
                    assert!(self.ids.insert(started.id), "told twice");
                    *self.singly.entry(name(&started.origin)).or_default() += 1;
                }
                Record::Ended(ended) => assert!(self.ended.insert(ended.id), "ended twice"),
                Record::Folded(folded) => {
                    self.ids.insert(folded.mark);
                    self.parents.insert(folded.parent);
                    self.counted.insert(folded.mark, (name(&folded.origin), folded.count));
                }
                _ => {}
            }
        }
    }

    fn total(&self, of: &str) -> u64 {
        let counted: u64 = self.counted.values().filter(|(name, _)| name == of).map(|(_, count)| count).sum();
        counted + self.singly.get(of).map_or(0, |count| *count as u64)
    }
}

fn name(origin: &Origin) -> String {
    match origin {
        Origin::Site(site) => site.name.to_owned(),
        Origin::Named(named) => named.name.clone(),
    }
}

fn enter(site: &'static Site) -> Guard {
    Guard::enter(site, How::Woven)
}

#[test]
fn after_some_calls_of_a_path_the_others_are_counted_with_and_without_scans() {
    // No call is that short.
    fold::set_below(Duration::from_nanos(1));
    let mut receiver = queue::open(1 << 30).expect("opened once");
    receiver.look(Duration::ZERO);
    switch::turn_on();
    for looks in [0, 50] {
        let mut told = Told::default();
        {
            let _top = Process::builder("top").enter();
            for round in 1..=1_000 {
                let _outer = enter(site!("outer", "normal", 1));
                drop(enter(site!("inner", "normal", 1)));
                if looks > 0 && round % looks == 0 {
                    receiver.look(Duration::ZERO);
                    told.take(&mut receiver);
                    receiver.commit();
                }
                drop(enter(site!("inner", "normal", 1)));
                drop(enter(site!("other", "normal", 1)));
            }
        }
        while receiver.look(Duration::ZERO) {
            told.take(&mut receiver);
            receiver.commit();
        }
        told.take(&mut receiver);
        assert_eq!([told.total("outer"), told.total("inner"), told.total("other")], [1_000, 2_000, 1_000], "{:?}", told.counted);
        // An outer call is reported if one of its inner calls is. Calls that the first round reported count in the second round, too.
        let least = if looks == 0 { 10 } else { 0 };
        for (name, most) in [("inner", SINGLY), ("other", SINGLY), ("outer", 3 * SINGLY)] {
            let singly = told.singly.get(name).copied().unwrap_or_default();
            assert!((least..=most).contains(&singly), "{name}: {singly} of {:?}, looked at {looks}", told.singly);
        }
        assert_eq!(told.ids.len() - told.counted.len(), told.ended.len(), "who has begun has ended");
        let lost: Vec<_> = told.parents.difference(&told.ids).filter(|parent| **parent != 0).collect();
        assert!(lost.is_empty(), "nobody has told of these parents: {lost:?}");
    }
}
