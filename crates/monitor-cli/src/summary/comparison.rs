//! The comparison with the last good run.

use std::collections::HashMap;

use monitor_wire::{Process, Root, State};
use serde::Serialize;

use super::{Run, elapsed_ns, own_times, parents};

/// Maximum number of steps in each list.
const MOST: usize = 5;
/// A step is slower if it took longer by this factor and this time.
const SLOWER: (f64, u64) = (1.25, 100_000_000);

/// Differences to the last good run. Steps are matched by their names and those of the steps above them.
#[derive(Debug, Serialize)]
pub(crate) struct Comparison<'a> {
    pub(crate) root: &'a Root,
    pub(crate) elapsed_ns: u64,
    /// Steps that fail now and did not fail then.
    pub(crate) failing: List<&'a str>,
    pub(crate) slower: List<Slower<'a>>,
    /// Steps of the good run that this run has not started. Steps below them are not listed.
    pub(crate) missing: List<&'a str>,
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

/// A step that took longer.
#[derive(Debug, Serialize)]
pub(crate) struct Slower<'a> {
    pub(crate) name: &'a str,
    pub(crate) own_ns: u64,
    pub(crate) before_ns: u64,
}

/// All steps of a run with the same names on their way from the root.
struct Steps<'a> {
    name: &'a str,
    own_ns: u64,
    has_failed: bool,
    /// Key of the steps above, if there are any.
    above: Option<usize>,
}

/// A step's name and the key of the steps above it; a key is an index in [`Keyed::steps`].
type Key<'a> = (Option<usize>, &'a str);

#[derive(Default)]
struct Keyed<'a> {
    keys: HashMap<Key<'a>, usize>,
    steps: Vec<Steps<'a>>,
}

impl<'a> Keyed<'a> {
    fn of(run: Run<'a>, now_us: u64) -> Self {
        let own = own_times(run.processes, now_us);
        let mut keyed = Self::default();
        let mut places: Vec<usize> = Vec::with_capacity(run.processes.len());
        for ((process, parent), own_ns) in run.processes.iter().zip(parents(run.processes)).zip(own) {
            let above = parent.map(|parent| places[parent]);
            // Both runs have the same name, and the root's own may have been changed on the way.
            let name = if above.is_none() { "" } else { process.name.as_str() };
            let next = keyed.steps.len();
            let place = *keyed.keys.entry((above, name)).or_insert(next);
            if place == next {
                keyed.steps.push(Steps { name: &process.name, own_ns: 0, has_failed: false, above });
            }
            let step = &mut keyed.steps[place];
            step.own_ns = step.own_ns.saturating_add(own_ns);
            step.has_failed |= has_failed(process);
            places.push(place);
        }
        keyed
    }

    /// The place in this run of each of the steps of another one.
    fn places_of(&self, other: &Self) -> Vec<Option<usize>> {
        let mut places: Vec<Option<usize>> = Vec::with_capacity(other.steps.len());
        for step in &other.steps {
            let above = step.above.map(|above| places[above]);
            let name = if step.above.is_none() { "" } else { step.name };
            places.push(match above {
                Some(None) => None,
                above => self.keys.get(&(above.flatten(), name)).copied(),
            });
        }
        places
    }
}

impl<'a> Comparison<'a> {
    pub(super) fn new(run: Run<'a>, good: Run<'a>, now_us: u64) -> Self {
        let (now, then) = (Keyed::of(run, now_us), Keyed::of(good, now_us));
        let matched = then.places_of(&now);
        let found = now.places_of(&then);
        let steps = || now.steps.iter().zip(&matched).filter(|(step, _)| step.above.is_some());
        let failing = steps().filter(|(step, before)| step.has_failed && before.is_none_or(|before| !then.steps[before].has_failed));
        let mut slower: Vec<Slower<'a>> = steps()
            .filter_map(|(step, before)| Some(Slower { name: step.name, own_ns: step.own_ns, before_ns: then.steps[(*before)?].own_ns }))
            .filter(|step| step.own_ns as f64 > step.before_ns as f64 * SLOWER.0 && step.own_ns - step.before_ns >= SLOWER.1)
            .collect();
        slower.sort_by_key(|step| std::cmp::Reverse(step.own_ns - step.before_ns));
        let is_missing =
            |step: &Steps<'a>, place: &Option<usize>| place.is_none() && step.above.is_some_and(|above| found[above].is_some());
        let missing = then.steps.iter().zip(&found).filter(|(step, place)| is_missing(step, place));
        Self {
            root: good.root,
            elapsed_ns: good.processes.first().map_or(0, |process| elapsed_ns(process, now_us)),
            failing: List::of(failing.map(|(step, _)| step.name).collect()),
            slower: List::of(slower),
            missing: List::of(missing.map(|(step, _)| step.name).collect()),
        }
    }
}

fn has_failed(process: &Process) -> bool {
    process.state == State::FAILED || process.state == State::LOST
}
