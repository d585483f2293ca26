//! The comparison with the last good run.

use monitor_state::{Change, Difference, differences, took_ns};
use monitor_wire::Root;
use serde::Serialize;

use super::Run;

/// Maximum number of steps in each list.
const MOST: usize = 5;

/// Differences to the last good run, without those of the root's own process.
#[derive(Debug, Serialize)]
pub(crate) struct Comparison<'a> {
    pub(crate) root: &'a Root,
    pub(crate) elapsed_ns: u64,
    /// Steps that fail now and did not fail then.
    pub(crate) failing: List<Named<'a>>,
    pub(crate) slower: List<Slower<'a>>,
    /// Steps of the good run that this run has not started. Steps below them are not listed.
    pub(crate) missing: List<Named<'a>>,
}

/// The first elements of a list, and the number of all.
#[derive(Debug, Serialize)]
pub(crate) struct List<T> {
    pub(crate) first: Vec<T>,
    pub(crate) count: usize,
}

impl<T> List<T> {
    fn of(mut all: Vec<T>) -> Self {
        let count = all.len();
        all.truncate(MOST);
        Self { first: all, count }
    }
}

/// Steps with one name.
#[derive(Debug, Serialize)]
pub(crate) struct Named<'a> {
    pub(crate) name: &'a str,
    pub(crate) times: usize,
}

impl<'a> List<Named<'a>> {
    /// Steps by their names, in the order of the first one of each name.
    fn named(names: impl Iterator<Item = &'a str>) -> Self {
        let (mut all, mut places) = (Vec::<Named<'a>>::new(), std::collections::HashMap::new());
        for name in names {
            let next = all.len();
            let place = *places.entry(name).or_insert(next);
            if place == next {
                all.push(Named { name, times: 0 });
            }
            all[place].times += 1;
        }
        Self::of(all)
    }
}

/// A step that took longer.
#[derive(Debug, Serialize)]
pub(crate) struct Slower<'a> {
    pub(crate) name: &'a str,
    pub(crate) elapsed_ns: u64,
    pub(crate) before_ns: u64,
}

impl<'a> Comparison<'a> {
    pub(super) fn new(run: Run<'a>, good: Run<'a>, now_us: u64) -> Self {
        let own = run.processes.first().map(|own| own.id);
        let found = differences(good.processes, run.processes, now_us);
        let steps = |change| {
            let is_step = move |found: &&Difference<'a>| found.change == change && found.after.map(|after| after.id) != own;
            found.iter().filter(is_step)
        };
        let name = |found: &Difference<'a>| found.after.or(found.before).map(|process| process.name.as_str());
        let slower = |found: &Difference<'a>| {
            let (before, after) = found.before.zip(found.after)?;
            Some(Slower { name: &after.name, elapsed_ns: took_ns(after, now_us)?, before_ns: took_ns(before, now_us)? })
        };
        Self {
            root: good.root,
            elapsed_ns: good.processes.first().and_then(|process| took_ns(process, now_us)).unwrap_or(0),
            failing: List::named(steps(Change::Failing).filter_map(name)),
            slower: List::of(steps(Change::Slower).filter_map(slower).collect()),
            missing: List::named(steps(Change::Gone).filter_map(name)),
        }
    }
}
