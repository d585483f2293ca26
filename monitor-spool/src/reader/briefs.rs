//! Woven calls that were too short to be worth a row, as wire events: what a dead program left in its rings.

use std::collections::BTreeMap;

use monitor_core::brief::{self, Briefs, Count, Limits, Link, Paths, Row};
use monitor_core::image::{Call, End, Image};
use monitor_wire::{Event, Kind, ProcessFolded, ProcessId, RootId};

use super::Estate;
use super::calls::Clock;
use super::folds::{Folds, GROWTH};
use crate::fold::fold_id;

/// Names the count of what was read here, beside those that the program told.
const READ_HERE: u64 = 0x3333_3333_3333_3333;

/// A call that took as long is always told singly.
const LONGEST_NS: u64 = 1_000_000_000;
/// The first call of a path that took as long is slow.
const SLOW_NS: u64 = 1_000_000;

/// The rows of all parents.
pub(super) struct Rows {
    /// Calls that took less are brief, in nanoseconds.
    below_ns: u64,
    by_parent: BTreeMap<u64, (u128, Vec<Row>)>,
    paths: Paths,
    /// What began before, in ticks, may have been told as running by the program itself.
    told_before: u64,
}

impl Rows {
    pub(super) fn of(estate: &Estate) -> Self {
        let below_ns = estate.program.about.as_ref().map_or(0, |about| about.fold_below_ns.min(LONGEST_NS));
        let told_before = estate.program.state.and_then(|state| state.clock).map_or(0, |clock| clock.ticks);
        let mut paths = Paths::default();
        if below_ns > 0 {
            for call in estate.images.values().flat_map(|image| image.ended.iter().chain(&image.running)) {
                paths.link(call.id, Link { parent: call.parent, site: call.site, elapsed: 0, may_be_counted: false });
            }
        }
        Self { below_ns, by_parent: BTreeMap::new(), paths, told_before }
    }

    /// The calls of one ring that are to be told singly: those that `is_told` lets through, without the brief ones.
    pub(super) fn told<'a>(
        &mut self,
        image: &'a Image,
        clock: &Clock,
        folds: &mut Folds<'_>,
        mut is_told: impl FnMut(&'a Call, &mut Folds<'_>) -> bool,
    ) -> Vec<&'a Call> {
        let (mut briefs, mut told) = (Briefs::default(), Vec::new());
        let limits = Limits { below: self.below_ns, slow: SLOW_NS, longest: LONGEST_NS };
        for call in image.ended.iter().chain(&image.running) {
            if !is_told(call, folds) {
                continue;
            }
            if let (Some((at, how)), true) = (call.end, self.below_ns > 0) {
                let elapsed = clock.elapsed_ns(call.start, at);
                let is_brief = elapsed < self.below_ns;
                let ended = brief::Ended {
                    id: call.id,
                    parent: folds.parent(call),
                    root: call.root,
                    site: call.site,
                    start: call.start,
                    elapsed,
                    bucket: (elapsed as f64).max(1.0).log(GROWTH) as u32,
                    may_be_counted: call.may_be_brief && how == End::Succeeded && (is_brief || call.start > self.told_before),
                };
                let Some(rows) = briefs.add(&ended, &mut self.paths, limits) else { continue };
                self.add(call.id, call.root, rows);
            }
            told.push(call);
        }
        for pending in briefs.rest() {
            self.add(pending.parent, pending.root, pending.rows);
        }
        told
    }

    fn add(&mut self, parent: u64, root: u128, rows: Vec<Row>) {
        if !rows.is_empty() {
            let (_, own) = self.by_parent.entry(parent).or_insert((root, Vec::new()));
            for row in rows {
                brief::merge(own, row);
            }
        }
    }

    /// What all of them count, and when they began, in ticks.
    pub(super) fn events(&self, estate: &Estate, folds: &Folds<'_>, clock: &Clock) -> Vec<(u64, Event)> {
        let mut events = Vec::new();
        for (parent, (root, rows)) in &self.by_parent {
            let Some((parent, root)) = folds.id_of(*parent).zip(RootId::new(*root)) else { continue };
            for row in rows {
                let Some(own) = event(estate, clock, root, parent, &row.count) else { continue };
                let within =
                    row.within.iter().filter_map(|count| event(estate, clock, root, own.id, count).map(|event| (count.start, event)));
                let within: Vec<_> = within.collect();
                events.push((row.count.start, own));
                events.extend(within);
            }
        }
        events.into_iter().map(|(at, event)| (at, Event::ProcessFolded(event))).collect()
    }
}

fn event(estate: &Estate, clock: &Clock, root_id: RootId, parent: ProcessId, count: &Count) -> Option<ProcessFolded> {
    let site = estate.program.sites.get(&u64::from(count.site))?;
    let id = fold_id(parent, &site.name);
    let mut histogram = count.histogram.clone();
    histogram.sort_unstable();
    Some(ProcessFolded {
        root_id,
        id,
        time_us: clock.time_us(count.start),
        parent_id: Some(parent),
        kind: Kind::from(site.kind.as_str()),
        name: site.name.clone(),
        shard: id.get() ^ READ_HERE,
        revision: 1,
        count: count.calls,
        running: 0,
        failed: 0,
        cancelled: 0,
        total_ns: count.total,
        min_ns: Some(count.min),
        max_ns: Some(count.max),
        histogram,
        attempt: 1,
        worker: None,
        native_id: None,
        links: Vec::new(),
    })
}
