//! Every call left by a dead program is counted once, either individually or in a fold.

use std::collections::{BTreeMap, HashMap, HashSet};

use monitor_core::image::{Call, Counted, End, Image};
use monitor_core::record::Attachment;
use monitor_wire::{Event, Kind, Registered, Source, WorkerId, WorkerRef};
use proptest::prelude::*;
use serde_json::Value;

use crate::program::State;
use crate::reader::{Estate, Events};
use crate::{About, Calibration};

/// Names of the sites. Two sites have the same name.
const NAMES: [&str; 4] = ["value", "number", "unit", "number"];
const ROOT: u128 = 7;
const BELOW_NS: u64 = 100;

/// An action of a thread.
#[derive(Debug, Clone, Copy)]
enum Step {
    Call { site: u32, may_be_brief: bool },
    Return { has_failed: bool, ticks: u64 },
}

/// Simulates a recording thread, which folds the children of a parent and site after the first `after`.
struct Thread {
    after: u64,
    now: u64,
    next: u64,
    /// Running calls, outermost first, with a flag that is true if the call is folded.
    stack: Vec<(Call, bool)>,
    children: HashMap<(u64, u32), u64>,
    image: Image,
}

impl Thread {
    fn new(after: u64) -> Self {
        Self { after, now: 1_000, next: 1_000, stack: Vec::new(), children: HashMap::new(), image: Image::default() }
    }

    fn id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Returns the fold for a parent and site.
    fn fold(&mut self, parent: u64, site: u32) -> &mut Counted {
        let mark = self.id();
        // A fold below a call with a row of its own stays below it.
        let may_move = match self.stack.iter().rev().find(|(call, _)| call.id == parent) {
            Some((call, _)) => call.may_be_brief,
            None => self.image.folds.iter().any(|above| above.mark == parent && above.may_move),
        };
        let folds = &mut self.image.folds;
        let place = folds.iter().position(|fold| (fold.parent, fold.site) == (parent, site)).unwrap_or_else(|| {
            folds.push(Counted {
                mark,
                parent,
                may_move,
                root: ROOT,
                site,
                start: self.now,
                revision: 0,
                ended: 0,
                running: 0,
                failed: 0,
                cancelled: 0,
                total: 0,
                range: None,
                histogram: Vec::new(),
            });
            folds.len() - 1
        });
        &mut folds[place]
    }

    /// Returns the parent of calls that start now.
    fn current(&mut self) -> u64 {
        match self.stack.last() {
            Some((call, true)) => {
                let (parent, site) = (call.parent, call.site);
                self.fold(parent, site).mark
            }
            Some((call, false)) => call.id,
            None => 1,
        }
    }

    fn step(&mut self, step: Step) {
        self.now += 1;
        match step {
            Step::Call { site, may_be_brief } => {
                let (parent, id) = (self.current(), self.id());
                let children = self.children.entry((parent, site)).or_default();
                *children += 1;
                let is_folded = *children > self.after;
                if is_folded {
                    self.fold(parent, site).running += 1;
                    if let Some((above, _)) = self.stack.last_mut() {
                        above.has_folds = above.may_be_brief;
                    }
                }
                let (attachment, start) = (Attachment::Inferred, self.now);
                let (is_folded_elsewhere, has_folds, end) = (false, false, None);
                let call = Call {
                    id,
                    parent,
                    root: ROOT,
                    site,
                    attachment,
                    thread: 1,
                    start,
                    end,
                    is_folded: is_folded_elsewhere,
                    may_be_brief,
                    has_folds,
                };
                self.stack.push((call, is_folded));
            }
            Step::Return { has_failed, ticks } => {
                let Some((call, is_folded)) = self.stack.pop() else { return };
                self.now += ticks;
                if is_folded {
                    let fold = self.fold(call.parent, call.site);
                    fold.running -= 1;
                    if !has_failed {
                        fold.ended += 1;
                        return;
                    }
                }
                let end = Some((self.now, if has_failed { End::Error } else { End::Succeeded }));
                self.image.ended.push(Call { end, ..call });
            }
        }
    }

    fn die(mut self) -> Image {
        self.image.running = self.stack.into_iter().filter(|(_, is_folded)| !is_folded).map(|(call, _)| call).collect();
        self.image
    }
}

fn estate(image: Image) -> Estate {
    let worker = WorkerRef { id: WorkerId::new(1).unwrap(), hostname: "build-7".to_owned(), pid: 1, program: "parser".to_owned() };
    let source = Source { file: "src/main.rs".to_owned(), line: 1 };
    let mut estate = Estate::default();
    estate.program.about = Some(About { fold_below_ns: BELOW_NS, ..About::this(worker, "1.2.3", 5) });
    estate.program.sites = (0..)
        .zip(NAMES)
        .map(|(number, name)| (number, Registered { name: name.to_owned(), kind: Kind::from("normal"), source: source.clone() }))
        .collect();
    estate.images.insert(0, image);
    estate
}

/// Counts calls by name, as a server does. All parents must be known.
fn counted(estate: &Estate) -> BTreeMap<String, u64> {
    let events: Vec<Event> =
        Events::of(estate).batches(usize::MAX).flatten().map(|event| serde_json::from_value(event).expect("an event")).collect();
    let (mut ids, mut calls, mut folds) = (HashSet::from([1]), BTreeMap::<_, u64>::new(), BTreeMap::new());
    for event in &events {
        match event {
            Event::ProcessStarted(start) => {
                *calls.entry(start.name.clone()).or_default() += 1;
                assert!(ids.insert(start.id.get()), "{start:?} twice");
            }
            Event::ProcessFolded(fold) => {
                ids.insert(fold.id.get());
                // The server keeps one revision of each shard.
                folds.insert((fold.id, fold.shard, fold.revision), (fold.name.clone(), fold.count));
            }
            _ => {}
        }
    }
    for event in &events {
        let parent = match event {
            Event::ProcessStarted(start) => start.parent_id,
            Event::ProcessFolded(fold) => fold.parent_id,
            _ => None,
        };
        assert!(parent.is_none_or(|parent| ids.contains(&parent.get())), "the parent of {event:?} is missing");
    }
    for (name, count) in folds.into_values() {
        *calls.entry(name).or_default() += count;
    }
    calls
}

#[test]
fn a_call_possibly_reported_while_running_is_reported_singly() {
    for (start, ticks, is_told) in [(1_000, 6, true), (1_000, 2, false), (5_000, 6, false)] {
        let mut thread = Thread::new(10);
        thread.now = start;
        thread.step(Step::Call { site: 0, may_be_brief: true });
        thread.step(Step::Return { has_failed: false, ticks });
        let mut estate = estate(thread.die());
        estate.program.about.as_mut().unwrap().fold_below_ns = 10_000_000;
        // A tick is a millisecond, and the program wrote its last batch at 3,000.
        let clock = Some(Calibration { ticks: 3_000, wall_ns: 6, ns_per_tick: 1e6 });
        estate.program.state = Some(State { revision: 1, acknowledged: 0, next: 1, clock, lane: 0 });
        let is_start = |event: &Value| event["type"] == "process-started";
        assert_eq!(Events::of(&estate).batches(usize::MAX).flatten().any(|event| is_start(&event)), is_told, "{start} {ticks}");
    }
}

proptest! {
    #[test]
    fn every_call_is_counted_once(after in 1_u64..4, steps in prop::collection::vec(
        prop_oneof![
            (0..4_u32, prop::bool::weighted(0.9)).prop_map(|(site, may_be_brief)| Step::Call { site, may_be_brief }),
            (any::<bool>(), prop_oneof![8 => 0..5_u64, 1 => 200..300_u64]).prop_map(|(has_failed, ticks)| Step::Return { has_failed, ticks }),
        ],
        0..300,
    )) {
        let (mut thread, mut expected) = (Thread::new(after), BTreeMap::<_, u64>::new());
        for step in steps {
            if let Step::Call { site, .. } = step {
                *expected.entry(NAMES[site as usize].to_owned()).or_default() += 1;
            }
            thread.step(step);
        }
        prop_assert_eq!(counted(&estate(thread.die())), expected);
    }
}
