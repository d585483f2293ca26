//! What stood in folds, as wire events.

use std::collections::HashMap;

use monitor_core::image::{Call, Counted, End};
use monitor_wire::{Event, Kind, ProcessFolded, ProcessId, Registered, RootId};

use super::Estate;
use super::calls::Clock;
use crate::fold::fold_id;

/// Folds lie no deeper in each other.
const DEEPEST: usize = 64;
/// Names the count of what had ended on other threads and was read here.
const READ_HERE: u64 = 0x5555_5555_5555_5555;
pub(super) const GROWTH: f64 = 1.04;

/// All folds, by their marks.
pub(super) struct Folds<'a> {
    known: HashMap<u64, Known<'a>>,
}

struct Known<'a> {
    counted: &'a Counted,
    site: &'a Registered,
    /// Durations of what ended on other threads.
    elsewhere: Vec<u64>,
    cancelled: u64,
    /// How many of those that seem to run are told in another way.
    others: u64,
}

impl<'a> Folds<'a> {
    pub(super) fn of(estate: &'a Estate) -> Self {
        let mut known = HashMap::new();
        for counted in estate.images.values().flat_map(|image| &image.folds) {
            if let Some(site) = estate.program.sites.get(&u64::from(counted.site)) {
                known.insert(counted.mark, Known { counted, site, elsewhere: Vec::new(), cancelled: 0, others: 0 });
            }
        }
        let mut folds = Folds { known };
        for mark in estate.images.values().flat_map(|image| &image.promoted) {
            if let Some(known) = folds.known.get_mut(mark) {
                known.others += 1;
            }
        }
        folds
    }

    /// Counts a call that ended on another thread than it began; `false` if it is to be told singly.
    pub(super) fn take(&mut self, call: &Call, clock: &Clock) -> bool {
        let (true, Some(known), Some((at, end))) = (call.is_folded, self.known.get_mut(&call.parent), call.end) else { return false };
        known.others += 1;
        if matches!(end, End::Error | End::Panic) {
            return false;
        }
        known.cancelled += u64::from(end == End::Cancelled);
        known.elsewhere.push(clock.elapsed_ns(call.start, at));
        true
    }

    /// The parent of a call, or the mark of its fold.
    pub(super) fn parent(&self, call: &Call) -> u64 {
        match self.known.get(&call.parent) {
            Some(known) if call.is_folded => known.counted.parent,
            _ => call.parent,
        }
    }

    /// The id of that.
    pub(super) fn parent_of(&self, call: &Call) -> Option<ProcessId> {
        self.id_of(self.parent(call))
    }

    /// The id of a process or, by its mark, of a fold.
    pub(super) fn id_of(&self, parent: u64) -> Option<ProcessId> {
        self.id(parent, DEEPEST)
    }

    /// The id of a fold by its mark, or of a process.
    fn id(&self, parent: u64, deepest: usize) -> Option<ProcessId> {
        match self.known.get(&parent) {
            Some(known) => Some(fold_id(self.id(known.counted.parent, deepest.checked_sub(1)?)?, &known.site.name)),
            None => ProcessId::new(parent),
        }
    }

    /// What all of them count, and when they began, in ticks.
    pub(super) fn events(&self, clock: &Clock) -> Vec<(u64, Event)> {
        // In one order, whoever reads it.
        let mut known: Vec<_> = self.known.iter().collect();
        known.sort_by_key(|(mark, _)| **mark);
        known.into_iter().flat_map(|(_, known)| self.events_of(known, clock).into_iter().flatten()).collect()
    }

    fn events_of(&self, known: &Known<'_>, clock: &Clock) -> Option<Vec<(u64, Event)>> {
        let Known { counted, site, elsewhere, cancelled, others } = known;
        let running = counted.running.saturating_sub(*others);
        let own = ProcessFolded {
            root_id: RootId::new(counted.root)?,
            id: self.id(counted.mark, DEEPEST)?,
            time_us: clock.time_us(counted.start),
            parent_id: self.id(counted.parent, DEEPEST),
            kind: Kind::from(site.kind.as_str()),
            name: site.name.clone(),
            shard: counted.mark,
            revision: counted.revision.saturating_add(1),
            count: counted.ended.saturating_add(running),
            running,
            failed: counted.failed,
            cancelled: counted.cancelled,
            total_ns: clock.elapsed_ns(0, counted.total),
            min_ns: counted.range.map(|(min, _)| clock.elapsed_ns(0, min)),
            max_ns: counted.range.map(|(_, max)| clock.elapsed_ns(0, max)),
            histogram: counted.histogram.clone(),
            errors: Vec::new(),
            attempt: 1,
            worker: None,
            native_id: None,
            links: Vec::new(),
        };
        let mut events = vec![own];
        if !elsewhere.is_empty() {
            let mut histogram = std::collections::BTreeMap::<u32, u64>::new();
            for duration in elsewhere {
                *histogram.entry((*duration as f64).max(1.0).log(GROWTH) as u32).or_default() += 1;
            }
            events.push(ProcessFolded {
                shard: counted.mark ^ READ_HERE,
                revision: 1,
                count: elsewhere.len() as u64,
                running: 0,
                failed: 0,
                cancelled: *cancelled,
                total_ns: elsewhere.iter().fold(0, |sum, duration| sum.saturating_add(*duration)),
                min_ns: elsewhere.iter().min().copied(),
                max_ns: elsewhere.iter().max().copied(),
                histogram: histogram.into_iter().collect(),
                ..events[0].clone()
            });
        }
        Some(events.into_iter().map(|event| (counted.start, Event::ProcessFolded(event))).collect())
    }
}
