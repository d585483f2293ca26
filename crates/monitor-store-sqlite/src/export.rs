//! Reads a tree in parts, so that no snapshot is held while a client reads slowly.

use monitor_state::order;
use monitor_store::{Outline, RootKey, Standing};
use monitor_wire::{Process, ProcessId};
use rusqlite::Result;

use super::pool::Snapshot;
use super::processes::Viewer;
use super::roots::find_row;
use super::row::ProcessRow;
use super::tree::nodes;

/// Reads the order of a tree.
pub(super) fn outline(snapshot: &mut Snapshot<'_>, key: RootKey, most_depth: u32) -> Result<Option<Outline>> {
    let (connection, dictionary) = snapshot.parts();
    let Some(row) = find_row(connection, key)? else { return Ok(None) };
    let root = row.show(connection, dictionary)?;
    let nodes = nodes(connection, row.place())?;
    let standing = order(&nodes, row.id, most_depth).placed.into_iter().map(|place| {
        let node = nodes[place.index as usize];
        Standing { id: node.id, at_us: node.at_us, depth: place.depth, is_orphan: place.is_orphan }
    });
    Ok(Some(Outline { root, standing: standing.collect() }))
}

/// Reads processes that still exist, each with its index in `ids`.
pub(super) fn some(snapshot: &mut Snapshot<'_>, key: RootKey, ids: &[ProcessId]) -> Result<Vec<(usize, Process)>> {
    let (connection, dictionary) = snapshot.parts();
    let Some(root) = find_row(connection, key)? else { return Ok(Vec::new()) };
    let mut viewer = Viewer::default();
    let mut found = Vec::with_capacity(ids.len());
    for (place, id) in ids.iter().enumerate() {
        if let Some(row) = ProcessRow::find(connection, root.place(), *id)? {
            found.push((place, viewer.view(connection, dictionary, (root.id, root.number), &row)?));
        }
    }
    Ok(found)
}
