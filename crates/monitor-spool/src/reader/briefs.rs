//! Converts brief woven calls, which are counted instead of recorded individually, to wire events. They are read from the rings of a dead
//! program.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::mem;

use monitor_core::brief::{self, Briefs, Count, Ended, Kept, Limits, Link, Paths, Row};
use monitor_core::error_texts::{ErrorTexts, Failures};
use monitor_core::image::{Call, End, Image};
use monitor_wire::{Event, FoldError, Kind, ProcessFolded, ProcessId, RootId};

use super::Estate;
use super::calls::Clock;
use super::folds::{Folds, GROWTH};
use crate::fold::fold_id;

/// Shard of the counts made here, which distinguishes them from counts sent by the program.
const READ_HERE: u64 = 0x3333_3333_3333_3333;

/// Minimum duration of calls that are always reported individually.
const LONGEST_NS: u64 = 1_000_000_000;
/// A program reports a running call after 5 ms. The limit is lower, because the clock is not calibrated exactly.
const REPORTED_NS: u64 = 4_000_000;
/// Minimum duration at which the first call of a path counts as slow.
const SLOW_NS: u64 = 1_000_000;

/// A failed call with its row: the process with this id or, if a site is given, the fold of that site below the process.
type KeptBelow = (u64, Option<u32>, Ended);

/// Rows of all parents.
pub(super) struct Rows {
    /// Limits in nanoseconds.
    limits: Limits,
    by_parent: BTreeMap<u64, (u128, Vec<Row>)>,
    /// Row or fold that a failed call is attached to, if it differs from the call's parent.
    parents: HashMap<u64, ProcessId>,
    paths: Paths,
    /// Time in ticks. Calls started earlier may have been reported as running by the program itself.
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
        let limits = Limits { below: below_ns, slow: SLOW_NS, longest: LONGEST_NS };
        Self { limits, by_parent: BTreeMap::new(), parents: HashMap::new(), paths, told_before }
    }

    /// Returns the calls of a ring that are reported individually: those accepted by `is_told`, without the brief calls.
    pub(super) fn told<'a>(
        &mut self,
        estate: &Estate,
        image: &'a Image,
        clock: &Clock,
        folds: &mut Folds<'_>,
        mut is_told: impl FnMut(&'a Call, &mut Folds<'_>) -> bool,
    ) -> Vec<&'a Call> {
        let (mut briefs, mut told, mut kept) = (Briefs::default(), Vec::new(), Vec::new());
        let calls: Vec<&Call> = image.ended.iter().chain(&image.running).collect();
        let limits = self.limits;
        for (tag, call) in calls.iter().copied().enumerate() {
            if !is_told(call, folds) {
                continue;
            }
            if let (Some((at, how)), true) = (call.end, limits.below > 0) {
                let elapsed = clock.elapsed_ns(call.start, at);
                // A call that the program may have reported while it was running is not counted. Otherwise its row would never end.
                let is_unreported = call.start > self.told_before || elapsed < REPORTED_NS.min(limits.below);
                let mut may_be_counted = call.may_be_brief && how != End::Cancelled && is_unreported;
                if may_be_counted && call.has_folds {
                    may_be_counted = folds.absorb(call, &mut briefs, clock);
                }
                let ended = Ended {
                    id: call.id,
                    parent: folds.parent(call),
                    root: call.root,
                    site: call.site,
                    start: call.start,
                    elapsed,
                    bucket: (elapsed as f64).max(1.0).log(GROWTH) as u32,
                    may_be_counted,
                    has_failed: matches!(how, End::Error | End::Panic),
                    tag: tag as u64,
                };
                let Some(rows) = briefs.add(&ended, &mut self.paths, limits) else { continue };
                let place = self.paths.place_of_counts(call.id);
                self.add_first(place, call.root, rows, &mut kept);
            }
            folds.stay(call.parent);
            told.push(call);
        }
        for pending in briefs.rest() {
            let place = self.paths.place_of_counts(pending.parent);
            self.add_first(place, pending.root, pending.rows, &mut kept);
        }
        for (parent, row, call) in kept {
            let site = |row: u32| estate.program.sites.get(&u64::from(row));
            let parent = folds.id_of(parent).and_then(|parent| row.map_or(Some(parent), |row| Some(fold_id(parent, &site(row)?.name))));
            if let (Some(parent), Some(call)) = (parent, calls.get(call.tag as usize)) {
                self.parents.insert(call.id, parent);
                told.push(call);
            }
        }
        told
    }

    /// Adds the rows below a parent. Failed calls that are not the first of their names are counted.
    fn add_first(&mut self, parent: u64, root: u128, mut rows: Vec<Row>, kept: &mut Vec<KeptBelow>) {
        brief::limit_kept(&mut rows, &mut |site| self.paths.keeps_failure(parent, root, site));
        if self.paths.is_among_many(parent) {
            rows = brief::flatten(rows);
        }
        self.paths.counted(parent, brief::number_of(&rows), self.limits);
        self.add(parent, root, rows, kept);
    }

    fn add(&mut self, parent: u64, root: u128, mut rows: Vec<Row>, kept: &mut Vec<KeptBelow>) {
        if rows.is_empty() {
            return;
        }
        let mut failed = Vec::new();
        for row in &mut rows {
            failed.extend(mem::take(&mut row.count.kept).into_iter().map(|kept| (None, kept)));
            for within in &mut row.within {
                failed.extend(mem::take(&mut within.kept).into_iter().map(|kept| (Some(row.count.site), kept)));
            }
        }
        let (_, own) = self.by_parent.entry(parent).or_insert((root, Vec::new()));
        for row in rows {
            brief::merge(own, row);
        }
        for (row, Kept { call, rows }) in failed {
            kept.push((parent, row, call));
            self.add(call.id, root, rows, kept);
        }
    }

    /// Returns the process or fold that a call is attached to.
    pub(super) fn parent_of(&self, call: &Call, folds: &Folds<'_>) -> Option<ProcessId> {
        self.parents.get(&call.id).copied().or_else(|| folds.parent_of(call))
    }

    /// Returns the counts of all rows with the start of their first calls, in ticks. `message` finds the error message of a failed call.
    pub(super) fn events(
        &self,
        estate: &Estate,
        folds: &Folds<'_>,
        clock: &Clock,
        message: &dyn Fn(u64) -> Option<String>,
    ) -> Vec<(u64, Event)> {
        let mut events = Vec::new();
        for (own_parent, (root, rows)) in &self.by_parent {
            let Some((parent, root)) = folds.id_of(*own_parent).zip(RootId::new(*root)) else { continue };
            for row in rows.iter().filter(|row| row.count.calls > 0) {
                let shard = shard_of(*own_parent, None, row.count.site);
                let Some(own) = event(estate, clock, root, parent, &row.count, shard, message) else { continue };
                let id = own.id;
                events.push((row.count.start, own));
                for count in row.within.iter().filter(|count| count.calls > 0) {
                    let shard = shard_of(*own_parent, Some(row.count.site), count.site);
                    events.extend(event(estate, clock, root, id, count, shard, message).map(|event| (count.start, event)));
                }
            }
        }
        events.into_iter().map(|(at, event)| (at, Event::ProcessFolded(event))).collect()
    }
}

/// Returns the shard of a count. A fold has several counts if sites share a name, or if some of the parent's calls are in a fold of the
/// recorder, because calls made by those have the fold's mark as parent.
fn shard_of(parent: u64, row: Option<u32>, site: u32) -> u64 {
    let sites = u64::from(row.map_or(0, |row| row + 1)) << 32 | u64::from(site);
    READ_HERE ^ parent ^ sites.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn event(
    estate: &Estate,
    clock: &Clock,
    root_id: RootId,
    parent: ProcessId,
    count: &Count,
    shard: u64,
    message: &dyn Fn(u64) -> Option<String>,
) -> Option<ProcessFolded> {
    let site = estate.program.sites.get(&u64::from(count.site))?;
    let id = fold_id(parent, &site.name);
    let mut histogram = count.histogram.clone();
    histogram.sort_unstable();
    let mut texts = ErrorTexts::default();
    for (id, at) in &count.failures {
        if let Some(message) = message(*id) {
            texts.add(&message, *at);
        }
    }
    let error = |(text, failures): (&str, Failures)| FoldError {
        text: text.to_owned(),
        count: failures.count,
        first_us: clock.time_us(failures.first),
        last_us: clock.time_us(failures.last),
    };
    Some(ProcessFolded {
        root_id,
        id,
        time_us: clock.time_us(count.start),
        parent_id: Some(parent),
        kind: Kind::from(site.kind.as_str()),
        name: site.name.clone(),
        shard: id.get() ^ shard,
        revision: 1,
        count: count.calls,
        running: 0,
        failed: count.failed,
        cancelled: 0,
        total_ns: count.total,
        min_ns: Some(count.min),
        max_ns: Some(count.max),
        histogram,
        errors: texts.iter().map(error).collect(),
        attempt: 1,
        worker: None,
        native_id: None,
        links: Vec::new(),
    })
}
