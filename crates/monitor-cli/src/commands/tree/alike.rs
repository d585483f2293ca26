//! Siblings that are alike: of the same name, with the same below them, and all of it succeeded. One of them stands for all.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use monitor_wire::{Process, State};

/// Fewer stay as they are.
const FEWEST: usize = 3;

/// How many there are of what a line stands for, and how long all of them took together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Alike {
    pub(super) count: usize,
    pub(super) total_ns: u64,
}

/// Leaves of siblings that are alike the first one. The processes come with their depths, parents before children.
pub(super) fn collapse(processes: Vec<Process>, depth: impl Fn(usize, &Process) -> usize) -> Vec<(Process, Option<Alike>)> {
    let depths: Vec<usize> = processes.iter().enumerate().map(|(index, process)| depth(index, process)).collect();
    let likeness = likeness(&processes, &depths);
    // By the way to the parent and likeness: the first of them, and all.
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
    // What is deeper is below one that is left out.
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

/// What is equal for processes that are alike; none for those that have something of their own to show.
fn likeness(processes: &[Process], depths: &[usize]) -> Vec<Option<u64>> {
    let mut all = vec![None; processes.len()];
    // By depth: the likenesses of what was met there below the same parent.
    let mut below: Vec<Vec<Option<u64>>> = Vec::new();
    for (index, process) in processes.iter().enumerate().rev() {
        let depth = depths[index];
        let mut children = below.get_mut(depth + 1).map(std::mem::take).unwrap_or_default();
        below.truncate(depth + 1);
        children.sort_unstable();
        // However often: a loop may run more or less often in each of them.
        children.dedup();
        let is_plain = process.state == State::SUCCEEDED && process.error.is_none() && process.fold.is_none() && process.progress.is_none();
        let is_fold = process.fold.as_ref().is_some_and(|fold| fold.running + fold.failed + fold.cancelled == 0);
        let likeness = ((is_plain || is_fold) && children.iter().all(Option::is_some)).then(|| {
            let mut hasher = DefaultHasher::new();
            (&process.name, process.kind.as_str(), process.attachment.as_str(), is_fold, children).hash(&mut hasher);
            hasher.finish()
        });
        // Folds are one row already.
        all[index] = likeness.filter(|_| is_plain);
        below.resize_with(depth + 1, Vec::new);
        below[depth].push(likeness);
    }
    all
}
