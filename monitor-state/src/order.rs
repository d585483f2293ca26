//! A tree's processes in the order in which they are shown.

use std::collections::HashMap;

use monitor_wire::{Process, ProcessId};

use crate::process::ProcessFacts;

/// As much of a process as its place depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// The process.
    pub id: ProcessId,
    /// Its parent as it was told.
    pub parent_id: Option<ProcessId>,
    /// When it began, as far as is known.
    pub at_us: u64,
    /// Whether anyone said what it is: without that, having no parent means nothing.
    pub is_defined: bool,
}

impl Node {
    /// The place of a process, by its facts and how it is shown.
    pub fn of(facts: &ProcessFacts, view: &Process) -> Self {
        Self { id: view.id, parent_id: view.parent_id, at_us: facts.at_us(), is_defined: facts.is_defined() }
    }
}

/// The places of a tree's processes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Order {
    /// In pre-order, siblings by (begin, id).
    pub placed: Vec<Placed>,
    /// The root's own process, as an index into what was ordered.
    pub own: Option<usize>,
    /// How many parents were ignored because they would have closed a cycle.
    pub ignored_parents: usize,
}

/// Where a process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Which, as an index into what was ordered.
    pub index: usize,
    /// How deep, 0 for the root's own process.
    pub depth: u32,
    /// It has no known parent and is not the root's own.
    pub is_orphan: bool,
}

/// Puts `nodes` in order; their own order doesn't matter. Each id must be there once.
pub fn order(nodes: &[Node]) -> Order {
    let mut sorted: Vec<usize> = (0..nodes.len()).collect();
    sorted.sort_unstable_by_key(|index| (nodes[*index].at_us, nodes[*index].id));
    let own = sorted.iter().copied().find(|index| nodes[*index].is_defined && nodes[*index].parent_id.is_none());

    let by_id: HashMap<ProcessId, usize> = nodes.iter().enumerate().map(|(index, node)| (node.id, index)).collect();
    let mut parents: Vec<Option<usize>> = nodes.iter().map(|node| by_id.get(&node.parent_id?).copied()).collect();
    let ignored_parents = break_cycles(&mut parents, nodes);
    let orphans: Vec<bool> = (0..nodes.len()).map(|index| parents[index].is_none() && Some(index) != own).collect();
    if own.is_some() {
        for (index, parent) in parents.iter_mut().enumerate() {
            *parent = parent.or(own.filter(|own| *own != index));
        }
    }

    // Walked from the last sibling to the first, so that each list of children ends up in order.
    let mut first_child = vec![None; nodes.len()];
    let mut next_sibling = vec![None; nodes.len()];
    let mut first_top = None;
    for index in sorted.into_iter().rev() {
        let list = parents[index].map_or(&mut first_top, |parent| &mut first_child[parent]);
        next_sibling[index] = list.replace(index);
    }

    let mut placed = Vec::with_capacity(nodes.len());
    let mut open: Vec<(usize, u32)> = first_top.map(|top| (top, 0)).into_iter().collect();
    while let Some((index, depth)) = open.pop() {
        placed.push(Placed { index, depth, is_orphan: orphans[index] });
        open.extend(next_sibling[index].map(|next| (next, depth)));
        open.extend(first_child[index].map(|child| (child, depth + 1)));
    }
    Order { placed, own, ignored_parents }
}

/// Takes from every cycle the parent of its first process by (begin, id); how many.
fn break_cycles(parents: &mut [Option<usize>], nodes: &[Node]) -> usize {
    let mut ignored = 0;
    // 0: not seen, otherwise the walk that saw it
    let mut seen_by = vec![0; nodes.len()];
    for begin in 0..nodes.len() {
        let walk = begin + 1;
        let mut at = begin;
        while seen_by[at] == 0 {
            seen_by[at] = walk;
            match parents[at] {
                Some(parent) => at = parent,
                None => break,
            }
        }
        if seen_by[at] != walk || parents[at].is_none() {
            continue;
        }
        let (mut first, mut next) = (at, parents[at]);
        while let Some(other) = next.filter(|next| *next != at) {
            first = std::cmp::min_by_key(first, other, |index| (nodes[*index].at_us, nodes[*index].id));
            next = parents[other];
        }
        parents[first] = None;
        ignored += 1;
    }
    ignored
}
