//! Comparison of two trees, by the rule of the page (`crates/monitor-web/app/src/model/compare.ts`). Siblings of one name are paired in
//! the order of their start.

use std::collections::HashMap;

use monitor_wire::{Kind, Process, ProcessId, State};

/// Kind of difference of a process between two runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Change {
    /// It fails, and did not fail before.
    Failing,
    New,
    Gone,
    Slower,
    /// It failed before, and does not fail now.
    Mended,
    Faster,
}

impl Change {
    pub(crate) fn as_str(self) -> &'static str {
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

/// A process that differs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Difference<'a> {
    pub(crate) change: Change,
    pub(crate) before: Option<&'a Process>,
    pub(crate) after: Option<&'a Process>,
}

/// A smaller ratio, or a smaller difference, is within the usual variation.
const RATIO: f64 = 1.25;
const LEAST_NS: u64 = 1_000_000;
/// A difference smaller than 1/`PART` of the duration of the run is ignored.
const PART: u64 = 200;

/// Returns the differences, failures first. Processes below one that is new or gone are left out.
pub(crate) fn differences<'a>(before: &'a [Process], after: &'a [Process]) -> Vec<Difference<'a>> {
    let (left, right) = (Tree::new(before), Tree::new(after));
    let whole = [left.top, right.top].into_iter().flatten().filter_map(took).max().unwrap_or(0);
    let least = LEAST_NS.max(whole / PART);
    let mut found = Vec::new();
    let mut pairs: Vec<_> = left.top.zip(right.top).into_iter().collect();
    while let Some((before, after)) = pairs.pop() {
        if let Some(change) = change(before, after, least) {
            found.push(Difference { change, before: Some(before), after: Some(after) });
        }
        let mut partners = HashMap::<_, Vec<_>>::new();
        for child in left.below(before.id).iter().rev() {
            partners.entry(key(child)).or_default().push(*child);
        }
        for child in right.below(after.id) {
            if let Some(partner) = partners.get_mut(&key(child)).and_then(Vec::pop) {
                pairs.push((partner, child));
            } else {
                let change = if is_bad(child) { Change::Failing } else { Change::New };
                found.push(Difference { change, before: None, after: Some(child) });
            }
        }
        found.extend(partners.into_values().flatten().map(|gone| Difference { change: Change::Gone, before: Some(gone), after: None }));
    }
    let delta = |difference: &Difference<'_>| {
        let took = |process: Option<&Process>| process.and_then(took).unwrap_or(0);
        took(difference.after).abs_diff(took(difference.before))
    };
    let depth = |difference: &Difference<'_>| difference.after.or(difference.before).and_then(|process| process.depth).unwrap_or(0);
    found.sort_by_key(|difference| {
        let deepest_first = if difference.change == Change::Failing { depth(difference) } else { 0 };
        let id = difference.after.or(difference.before).map(|process| process.id);
        (difference.change, std::cmp::Reverse(deepest_first), std::cmp::Reverse(delta(difference)), id)
    });
    found
}

/// Returns the duration of a process, in nanoseconds. For a fold: the sum of all calls.
pub(crate) fn took(process: &Process) -> Option<u64> {
    let ended = || Some(process.ended_us?.checked_sub(process.started_us?)?.saturating_mul(1_000));
    process.fold.as_ref().map(|fold| fold.total_ns).or(process.elapsed_ns).or_else(ended)
}

fn key(process: &Process) -> (&Kind, &str) {
    (&process.kind, &process.name)
}

fn is_bad(process: &Process) -> bool {
    let is_failed = process.state == State::FAILED || process.state == State::LOST;
    is_failed || process.fold.as_ref().is_some_and(|fold| fold.failed > 0)
}

fn change(before: &Process, after: &Process, least: u64) -> Option<Change> {
    match (is_bad(before), is_bad(after)) {
        (false, true) => return Some(Change::Failing),
        (true, false) => return Some(Change::Mended),
        _ => {}
    }
    let (before, after) = (took(before)?, took(after)?);
    let (short, long) = (before.min(after), before.max(after));
    let differs = long - short >= least && long as f64 > short as f64 * RATIO;
    differs.then_some(if after > before { Change::Slower } else { Change::Faster })
}

struct Tree<'a> {
    top: Option<&'a Process>,
    children: HashMap<ProcessId, Vec<&'a Process>>,
}

impl<'a> Tree<'a> {
    /// The root's own process comes first. A process with an unknown parent hangs below it.
    fn new(processes: &'a [Process]) -> Self {
        let top = processes.first();
        let mut children = HashMap::<_, Vec<_>>::new();
        for process in processes.iter().skip(1) {
            let parent = process.parent_id.filter(|_| !process.orphan).or(top.map(|top| top.id));
            children.entry(parent.unwrap_or(process.id)).or_default().push(process);
        }
        Self { top, children }
    }

    fn below(&self, id: ProcessId) -> &[&'a Process] {
        self.children.get(&id).map_or(&[], Vec::as_slice)
    }
}
