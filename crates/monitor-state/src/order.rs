//! Sorts the processes of a tree in display order, and repairs parent links that would create cycles or exceed the maximum depth.

use monitor_wire::{Process, ProcessId, RootId};

use crate::process::ProcessFacts;

/// The properties of a process that determine its place in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// The process.
    pub id: ProcessId,
    /// Parent id as reported, even if that process is unknown.
    pub parent_id: Option<ProcessId>,
    /// Start time, or the earliest other known time.
    pub at_us: u64,
    /// True if the process was reported by an event that defines it. Only then does a missing parent mean that it has none.
    pub is_defined: bool,
}

impl Node {
    /// Creates the node of a process from its facts and its read model.
    pub fn of(facts: &ProcessFacts, view: &Process) -> Self {
        Self { id: view.id, parent_id: view.parent_id, at_us: facts.at_us(), is_defined: facts.is_defined() }
    }

    /// Sort key among siblings.
    fn begin(&self) -> (u64, ProcessId) {
        (self.at_us, self.id)
    }
}

/// Places of all processes of a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Order {
    /// In pre-order, siblings by (begin, id).
    pub placed: Vec<Placed>,
    /// Index of the root's own process in the input.
    pub own: Option<usize>,
    /// Number of parents that were ignored because they would have closed a cycle.
    pub ignored_parents: usize,
    /// Number of parents that were ignored because the process would have exceeded the maximum depth.
    pub deep_parents: usize,
}

/// Place of a process in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Index of the process in the input.
    pub index: u32,
    /// Position of the displayed parent in `placed`; `None` at the top.
    pub below: Option<u32>,
    /// Depth; 0 for the root's own process.
    pub depth: u32,
    /// True if the process is not the root's own, and its parent is unknown or ignored.
    pub is_orphan: bool,
    /// True if its parent is ignored because the process would exceed the maximum depth.
    pub is_deep: bool,
}

/// Returns for each process the index of its displayed parent: the closest preceding process with a smaller depth. The processes must be in
/// pre-order with depths, as the API returns them; the first one is the root's own.
pub fn parents(processes: &[Process]) -> Vec<Option<usize>> {
    let mut above: Vec<usize> = Vec::new();
    let parent = |(index, process): (usize, &Process)| {
        // Only the first process is the root, even if another one has depth 0 in the data.
        let depth = if index == 0 { 0 } else { process.depth.map_or(1, |depth| depth.max(1) as usize) };
        above.truncate(depth);
        let parent = above.last().copied();
        above.push(index);
        parent
    };
    processes.iter().enumerate().map(parent).collect()
}

/// Marks a missing index.
const NONE: u32 = u32::MAX;

/// Sorts the processes of `root`, which may be in any order. Each id must occur once, and there must be fewer than 2^32 processes.
///
/// A parent id equal to [`RootId::own_process`] means the root's own process, if no process has that id.
///
/// A process that would be deeper than `most_depth` (at least 1) is placed below the root's own process, together with its descendants.
pub fn order(nodes: &[Node], root: RootId, most_depth: u32) -> Order {
    let count = u32::try_from(nodes.len()).expect("less than 2^32 processes");
    let mut sorted: Vec<u32> = (0..count).collect();
    sorted.sort_unstable_by_key(|index| nodes[*index as usize].begin());
    let is_top = |node: &Node| node.is_defined && node.parent_id.is_none();
    let own = sorted.iter().copied().find(|index| is_top(&nodes[*index as usize]));

    let mut parents = find_parents(nodes);
    let stands_for_own = own.and(root.own_process());
    let is_missing = |(node, parent): (&Node, &u32)| *parent == NONE && node.parent_id.is_some() && node.parent_id == stands_for_own;
    let is_below_own: Vec<bool> = nodes.iter().zip(&parents).map(is_missing).collect();
    let ignored_parents = break_cycles(&mut parents, nodes);
    let mut is_orphan = vec![false; nodes.len()];
    for (index, parent) in (0..count).zip(&mut parents) {
        if *parent == NONE && Some(index) != own {
            is_orphan[index as usize] = !is_below_own[index as usize];
            *parent = own.unwrap_or(NONE);
        }
    }

    let mut placed = place(&sorted, &parents, &is_orphan);
    let too_deep = too_deep(&placed, own.is_some(), most_depth.max(1));
    if !too_deep.is_empty() {
        let mut is_deep = vec![false; nodes.len()];
        for index in &too_deep {
            (is_deep[*index as usize], is_orphan[*index as usize]) = (true, true);
            parents[*index as usize] = own.unwrap_or(NONE);
        }
        placed = place(&sorted, &parents, &is_orphan);
        for placed in &mut placed {
            placed.is_deep = is_deep[placed.index as usize];
        }
    }
    Order { placed, own: own.map(|own| own as usize), ignored_parents, deep_parents: too_deep.len() }
}

/// Returns the pre-order traversal of the tree; siblings are in the order of `sorted`.
fn place(sorted: &[u32], parents: &[u32], is_orphan: &[bool]) -> Vec<Placed> {
    // Iterate in reverse, so that prepending builds each list of children in order.
    let mut first_child = vec![NONE; parents.len()];
    let mut next_sibling = vec![NONE; parents.len()];
    let mut first_top = NONE;
    for index in sorted.iter().rev() {
        let list = first_child.get_mut(parents[*index as usize] as usize).unwrap_or(&mut first_top);
        next_sibling[*index as usize] = std::mem::replace(list, *index);
    }

    let mut placed: Vec<Placed> = Vec::with_capacity(parents.len());
    let mut open: Vec<(u32, Option<u32>, u32)> = vec![(first_top, None, 0)];
    while let Some((index, below, depth)) = open.pop() {
        let Some(next) = next_sibling.get(index as usize) else { continue };
        let place = placed.len() as u32;
        placed.push(Placed { index, below, depth, is_orphan: is_orphan[index as usize], is_deep: false });
        open.push((*next, below, depth));
        open.push((first_child[index as usize], Some(place), depth + 1));
    }
    placed
}

/// Returns the processes whose parents must be ignored so that none is deeper than `most`. The depth of the descendants of such a process
/// counts from its new place.
fn too_deep(placed: &[Placed], has_own: bool, most: u32) -> Vec<u32> {
    // Fast path: a tree with at most `most` processes can't be too deep.
    if placed.len() <= most as usize {
        return Vec::new();
    }
    let mut too_deep = Vec::new();
    let mut depths: Vec<u32> = Vec::with_capacity(placed.len());
    for Placed { index, below, .. } in placed {
        let mut depth = below.map_or(0, |below| depths[below as usize] + 1);
        if depth > most {
            too_deep.push(*index);
            depth = u32::from(has_own);
        }
        depths.push(depth);
    }
    too_deep
}

/// Returns the parent's index for each node, [`NONE`] if the parent is unknown.
fn find_parents(nodes: &[Node]) -> Vec<u32> {
    // Stores usually return nodes sorted by id.
    let is_sorted = nodes.is_sorted_by_key(|node| node.id);
    let mut by_id: Vec<(ProcessId, u32)> = Vec::new();
    if !is_sorted {
        by_id.extend(nodes.iter().map(|node| node.id).zip(0..));
        by_id.sort_unstable();
    }
    let index_of = |id: ProcessId| {
        if is_sorted {
            return nodes.binary_search_by_key(&id, |node| node.id).ok().map(|index| index as u32);
        }
        by_id.binary_search_by_key(&id, |(id, _)| *id).ok().map(|found| by_id[found].1)
    };
    let mut last = (None, NONE);
    let find = |node: &Node| {
        if node.parent_id != last.0 {
            last = (node.parent_id, node.parent_id.and_then(index_of).unwrap_or(NONE));
        }
        last.1
    };
    nodes.iter().map(find).collect()
}

/// Removes the parent of the first process, by (begin, id), of every cycle. Returns the number of removed parents.
fn break_cycles(parents: &mut [u32], nodes: &[Node]) -> usize {
    let mut ignored = 0;
    // 0 if not visited, otherwise the number of the walk that visited the node.
    let mut seen_by = vec![0_u32; nodes.len()];
    for begin in 0..nodes.len() {
        let walk = begin as u32 + 1;
        let mut at = begin;
        while seen_by[at] == 0 {
            seen_by[at] = walk;
            match parents[at] {
                NONE => break,
                parent => at = parent as usize,
            }
        }
        if seen_by[at] != walk || parents[at] == NONE {
            continue;
        }
        let (mut first, mut next) = (at, parents[at] as usize);
        while next != at {
            first = std::cmp::min_by_key(first, next, |index| nodes[*index].begin());
            next = parents[next] as usize;
        }
        parents[first] = NONE;
        ignored += 1;
    }
    ignored
}
