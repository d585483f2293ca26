//! Combines similar siblings: those with the same name and similar descendants, if all of them succeeded. One of them represents all.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use monitor_wire::{Process, State};

/// Smallest number of siblings that are combined.
const FEWEST: usize = 3;

/// Number of combined siblings, and their total duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Alike {
    pub(super) count: usize,
    pub(super) total_ns: u64,
}

/// Keeps the first of similar siblings. Processes are ordered parents first, with their depths.
pub(super) fn collapse(processes: Vec<Process>, depth: impl Fn(usize, &Process) -> usize) -> Vec<(Process, Option<Alike>)> {
    let depths: Vec<usize> = processes.iter().enumerate().map(|(index, process)| depth(index, process)).collect();
    let likeness = likeness(&processes, &depths);
    // First member and totals of each group, by parent and likeness.
    let mut groups: HashMap<(usize, u64), (usize, Alike)> = HashMap::new();
    let mut parents: Vec<usize> = Vec::new();
    let mut of = vec![None; processes.len()];
    for (index, process) in processes.iter().enumerate() {
        parents.truncate(depths[index]);
        if let (Some(likeness), Some(parent)) = (likeness[index], parents.last()) {
            let key = (*parent, likeness);
            let (_, alike) = groups.entry(key).or_insert((index, Alike { count: 0, total_ns: 0 }));
            alike.count += 1;
            alike.total_ns = alike.total_ns.saturating_add(process.elapsed_ns.unwrap_or(0));
            of[index] = Some(key);
        }
        parents.resize(depths[index], index);
        parents.push(index);
    }
    let mut shown = Vec::new();
    // Deeper processes are descendants of an omitted one.
    let mut left_out = usize::MAX;
    for (index, process) in processes.into_iter().enumerate() {
        if depths[index] > left_out {
            continue;
        }
        left_out = usize::MAX;
        match of[index].and_then(|key| groups.get(&key)).filter(|(_, alike)| alike.count >= FEWEST) {
            Some((first, _)) if *first != index => left_out = depths[index],
            alike => shown.push((process, alike.map(|(_, alike)| *alike))),
        }
    }
    shown
}

/// A hash that is equal for similar processes. `None` for processes that must be shown separately.
fn likeness(processes: &[Process], depths: &[usize]) -> Vec<Option<u64>> {
    let mut all = vec![None; processes.len()];
    // By depth: the likenesses of the siblings that were visited so far.
    let mut below: Vec<Vec<Option<u64>>> = Vec::new();
    for (index, process) in processes.iter().enumerate().rev() {
        let depth = depths[index];
        let mut children = below.get_mut(depth + 1).map(std::mem::take).unwrap_or_default();
        below.truncate(depth + 1);
        children.sort_unstable();
        // Repetitions are ignored, because a loop may run more or less often.
        children.dedup();
        let is_plain = process.state == State::SUCCEEDED && process.error.is_none() && process.fold.is_none() && process.progress.is_none();
        let is_fold = process.fold.as_ref().is_some_and(|fold| fold.running + fold.failed + fold.cancelled == 0);
        let likeness = ((is_plain || is_fold) && children.iter().all(Option::is_some)).then(|| {
            let mut hasher = DefaultHasher::new();
            (&process.name, process.kind.as_str(), process.attachment.as_str(), is_fold, children).hash(&mut hasher);
            hasher.finish()
        });
        // Folds have a row of their own.
        all[index] = likeness.filter(|_| is_plain);
        below.resize_with(depth + 1, Vec::new);
        below[depth].push(likeness);
    }
    all
}
