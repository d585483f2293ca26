//! Comparison of two runs: processes are paired by their paths, and differences are ranked.
//!
//! The page follows the same rule (`crates/monitor-web/app/src/model/compare.ts`). `cases/comparison.txt` tests both.

use std::cmp::Ordering;
use std::collections::{HashMap, VecDeque};

use monitor_wire::{Kind, Process};

use crate::order::parents;
use crate::why::needs_attention;

/// A smaller ratio of two durations is within the usual variation of a run.
const RATIO: f64 = 1.25;
/// A smaller difference of two durations is ignored.
const LEAST_NS: u64 = 1_000_000;
/// A difference smaller than 1/`PART` of the duration of the run is ignored.
const PART: u64 = 200;

/// Kind of difference of a process between two runs, in order of importance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// The process fails in the later run and did not fail in the earlier one.
    Failing,
    /// Only the later run has the process.
    New,
    /// Only the earlier run has the process.
    Gone,
    /// The process took longer in the later run.
    Slower,
    /// The process failed in the earlier run and does not fail in the later one.
    Mended,
    /// The process took less time in the later run.
    Faster,
}

impl Change {
    /// The kind as one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failing => "failing",
            Self::New => "new",
            Self::Gone => "gone",
            Self::Slower => "slower",
            Self::Mended => "mended",
            Self::Faster => "faster",
        }
    }
}

/// A process that differs between two runs.
#[derive(Debug, Clone, Copy)]
pub struct Difference<'a> {
    /// Kind of the difference.
    pub change: Change,
    /// The process in the earlier run.
    pub before: Option<&'a Process>,
    /// The process in the later run.
    pub after: Option<&'a Process>,
}

/// A process of one run, of the other, or of both.
struct Pair {
    /// Index in the earlier run.
    left: Option<usize>,
    /// Index in the later run.
    right: Option<usize>,
    /// Index of the pair above.
    parent: Option<usize>,
    change: Option<Change>,
    /// Difference of the durations.
    delta_ns: Option<i128>,
    /// The difference without that of the children.
    own_ns: Option<i128>,
}

/// Returns the differences between two runs, the most important first: new failures, beginning with processes below which nothing fails; new and
/// missing processes, without those below them; slower processes, by the time that their children did not take.
///
/// Both runs are in pre-order with depths, as the API returns them. The roots are paired even if their names differ; siblings with the same
/// kind and name are paired in the order of their start.
pub fn differences<'a>(before: &'a [Process], after: &'a [Process], now_us: u64) -> Vec<Difference<'a>> {
    let (left, right) = (Tree::new(before), Tree::new(after));
    let pairs = pairs(&left, &right, now_us);
    let weights = weights(&pairs, before, after);
    let is_top = |pair: &Pair| pair.parent.is_none_or(|parent| pairs[parent].change != pair.change);
    let is_listed = |pair: &Pair| match pair.change {
        None => false,
        Some(Change::New | Change::Gone) => is_top(pair),
        Some(_) => true,
    };
    let mut listed: Vec<usize> = (0..pairs.len()).filter(|index| is_listed(&pairs[*index])).collect();
    listed.sort_by_key(|index| (pairs[*index].change, weights[*index], *index));
    let difference = |index: usize| {
        let Pair { left, right, change, .. } = pairs[index];
        Some(Difference { change: change?, before: left.map(|left| &before[left]), after: right.map(|right| &after[right]) })
    };
    listed.into_iter().filter_map(difference).collect()
}

/// Returns the duration of a process, until `now_us` if it runs. For a fold: the sum of all calls.
pub fn took_ns(process: &Process, now_us: u64) -> Option<u64> {
    let measured = process.fold.as_ref().map(|fold| fold.total_ns).or(process.elapsed_ns);
    let running = (process.state == monitor_wire::State::RUNNING).then_some(now_us);
    let until = || Some(process.ended_us.or(running)?.saturating_sub(process.started_us?).saturating_mul(1_000));
    measured.or_else(until)
}

/// Returns the pairs in pre-order.
fn pairs(left: &Tree<'_>, right: &Tree<'_>, now_us: u64) -> Vec<Pair> {
    let took = |tree: &Tree<'_>, index: Option<usize>| took_ns(tree.processes.get(index?)?, now_us);
    let whole = took(left, Some(0)).max(took(right, Some(0))).unwrap_or(0);
    let least = LEAST_NS.max(whole / PART);
    let top = |tree: &Tree<'_>| (!tree.processes.is_empty()).then_some(0);
    let (mut pairs, mut waiting) = (Vec::<Pair>::new(), vec![(top(left), top(right), None)]);
    while let Some((l, r, parent)) = waiting.pop().filter(|(l, r, _)| l.is_some() || r.is_some()) {
        let (earlier, later) = (took(left, l), took(right, r));
        let delta_ns = earlier.zip(later).map(|(earlier, later)| i128::from(later) - i128::from(earlier));
        let is_bad = |tree: &Tree<'_>, index: Option<usize>| index.map(|index| is_bad(&tree.processes[index]));
        let change = match (is_bad(left, l), is_bad(right, r)) {
            (_, None) => Some(Change::Gone),
            (None | Some(false), Some(true)) => Some(Change::Failing),
            (None, Some(false)) => Some(Change::New),
            (Some(true), Some(false)) => Some(Change::Mended),
            _ => earlier.zip(later).and_then(|(earlier, later)| change_of(earlier, later, least)),
        };
        let place = Some(pairs.len());
        pairs.push(Pair { left: l, right: r, parent, change, delta_ns, own_ns: delta_ns });
        let children = align(left, right, left.below(l), right.below(r));
        waiting.extend(children.into_iter().rev().map(|(l, r)| (l, r, place)));
    }
    for index in (0..pairs.len()).rev() {
        let Pair { parent: Some(parent), delta_ns: Some(delta), .. } = pairs[index] else { continue };
        let above = &mut pairs[parent];
        if let Some(own) = above.own_ns.as_mut().filter(|_| above.delta_ns.unwrap_or(0).signum() == delta.signum()) {
            *own -= delta;
        }
    }
    pairs
}

fn change_of(earlier: u64, later: u64, least: u64) -> Option<Change> {
    let is_longer = |long: u64, short: u64| long as f64 > short as f64 * RATIO;
    match earlier.cmp(&later) {
        _ if earlier.abs_diff(later) < least => None,
        Ordering::Less => is_longer(later, earlier).then_some(Change::Slower),
        _ => is_longer(earlier, later).then_some(Change::Faster),
    }
}

/// Pairs siblings with the same kind and name in the order of their start. A missing process is listed at its place in the earlier run.
fn align(left: &Tree<'_>, right: &Tree<'_>, lefts: &[usize], rights: &[usize]) -> Vec<(Option<usize>, Option<usize>)> {
    let mut places = HashMap::<_, VecDeque<usize>>::new();
    for (place, index) in lefts.iter().enumerate() {
        places.entry(left.key(*index)).or_default().push_back(place);
    }
    let partners: Vec<Option<usize>> =
        rights.iter().map(|index| places.get_mut(&right.key(*index)).and_then(VecDeque::pop_front)).collect();
    let mut is_missing = vec![true; lefts.len()];
    partners.iter().flatten().for_each(|place| is_missing[*place] = false);
    let (mut merged, mut next) = (Vec::with_capacity(rights.len()), 0);
    let missing = |from: usize, until: usize| (from..until).filter(|place| is_missing[*place]).map(|place| (Some(lefts[place]), None));
    for (index, partner) in rights.iter().zip(partners) {
        if let Some(place) = partner.filter(|place| *place >= next) {
            merged.extend(missing(next, place));
            next = place;
        }
        merged.push((partner.map(|place| lefts[place]), Some(*index)));
    }
    merged.extend(missing(next, lefts.len()));
    merged
}

/// Returns the rank of each pair among those with the same change; the smallest is listed first.
fn weights(pairs: &[Pair], before: &[Process], after: &[Process]) -> Vec<i128> {
    let mut fails_below = vec![false; pairs.len()];
    for (index, pair) in pairs.iter().enumerate().rev() {
        if let Some(parent) = pair.parent {
            fails_below[parent] |= pair.change == Some(Change::Failing) || fails_below[index];
        }
    }
    let took = |processes: &[Process], index: Option<usize>| index.and_then(|index| took_ns(&processes[index], 0)).map_or(0, i128::from);
    let weight = |(index, pair): (usize, &Pair)| match pair.change {
        Some(Change::Failing) if fails_below[index] => i128::MAX,
        Some(Change::Failing) => i128::from(pair.right.and_then(|right| after[right].ended_us).unwrap_or(u64::MAX)),
        Some(Change::New) => -took(after, pair.right),
        Some(Change::Gone) => -took(before, pair.left),
        Some(Change::Faster) => pair.own_ns.unwrap_or(0),
        _ => -pair.own_ns.unwrap_or(0),
    };
    pairs.iter().enumerate().map(weight).collect()
}

/// Returns true if a process failed, is lost, or represents calls of which some failed.
fn is_bad(process: &Process) -> bool {
    needs_attention(&process.state) || process.fold.as_ref().is_some_and(|fold| fold.failed > 0)
}

/// A run with the children of each process.
struct Tree<'a> {
    processes: &'a [Process],
    children: Vec<Vec<usize>>,
}

impl<'a> Tree<'a> {
    fn new(processes: &'a [Process]) -> Self {
        let mut children = vec![Vec::new(); processes.len()];
        for (index, parent) in parents(processes).into_iter().enumerate() {
            if let Some(parent) = parent {
                children[parent].push(index);
            }
        }
        Self { processes, children }
    }

    fn below(&self, index: Option<usize>) -> &[usize] {
        index.map_or(&[], |index| &self.children[index])
    }

    fn key(&self, index: usize) -> (&'a Kind, &'a str) {
        let process = &self.processes[index];
        (&process.kind, &process.name)
    }
}
