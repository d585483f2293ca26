//! Builds trees from the facts, in the form that queries return.

use monitor_state::{Node, Order, order};
use monitor_wire::{Process, Root, State as ProcessState};

use super::State;
use crate::columns::{Cells, Head, NOWHERE, Origin, Site, TreeColumns, UNKNOWN, more, state_code};

/// A tree with its processes in pre-order.
pub(super) struct Shown {
    pub(super) root: Root,
    pub(super) processes: Vec<Process>,
    pub(super) nodes: Vec<Node>,
    pub(super) order: Order,
}

impl State {
    pub(super) fn show(&self, number: u64) -> Option<Shown> {
        let tree = self.trees.get(&number)?;
        let (mut root, mut processes) = self.facts.tree(tree.id, number)?;
        root.pinned = tree.is_pinned;
        for process in &mut processes {
            process.overdue = process.state == ProcessState::RUNNING && tree.overdue.contains(&process.id);
        }
        let node = |process: &Process| Node::of(self.facts.process(tree.id, process.id).expect("it is of the tree"), process);
        let nodes: Vec<_> = processes.iter().map(node).collect();
        let order = order(&nodes, tree.id, u32::MAX);
        root.overdue = order.own.is_some_and(|own| processes[own].overdue);
        Some(Shown { root, processes, nodes, order })
    }

    /// Returns all trees in the order of their numbers.
    pub(super) fn all(&self) -> impl Iterator<Item = Shown> {
        self.trees.keys().filter_map(|number| self.show(*number))
    }

    /// Returns the start of a tree for sorting. Without a known start this is the arrival time of its last event.
    pub(super) fn begun_us(&self, root: &Root) -> u64 {
        root.started_us.or(root.begun_us).unwrap_or_else(|| self.trees[&root.number].heard_us)
    }
}

impl Shown {
    /// Converts the tree to columns. Sites, origins and errors are not deduplicated.
    pub(super) fn columns(self, dropped: Vec<monitor_wire::Dropped>, as_of: u64) -> TreeColumns {
        let Order { placed, ignored_parents, deep_parents, .. } = self.order;
        let count = placed.len();
        let (ignored_parents, deep_parents) = (ignored_parents as u64, deep_parents as u64);
        let mut tree = TreeColumns::new(Head { root: self.root, ignored_parents, deep_parents, dropped, as_of, count }, count);
        for (index, process) in (0..).zip(self.processes) {
            if let Some(more) = more(&process) {
                tree.more.insert(index, more);
            }
            let is_known = !process.name.is_empty() || !process.kind.as_str().is_empty();
            let has_origin = process.worker_id.is_some() || process.thread.is_some();
            let place = |is_there: bool| if is_there { index } else { NOWHERE };
            let mut error = NOWHERE;
            if let Some(of) = process.error {
                error = tree.errors.len() as u32;
                tree.errors.push(of);
            }
            tree.rows.push(Cells {
                id: process.id,
                started_us: process.started_us.unwrap_or(UNKNOWN),
                ended_us: process.ended_us.unwrap_or(UNKNOWN),
                elapsed_ns: process.elapsed_ns.unwrap_or(UNKNOWN),
                site: place(is_known),
                origin: place(has_origin),
                error,
                state: state_code(&process.state),
            });
            tree.sites.push(Site { name: process.name, kind: process.kind, source: process.source });
            tree.origins.push(Origin { worker_id: process.worker_id, thread: process.thread });
        }
        for placed in placed.iter().filter(|placed| placed.is_orphan) {
            if let Some(parent) = self.nodes[placed.index as usize].parent_id {
                tree.add_told_parent(placed.index, parent);
            }
        }
        tree.placed = placed;
        tree
    }
}
