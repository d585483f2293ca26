//! Reading trees.

use monitor_state::{Node, Order, Placed, order};
use monitor_wire::{Dropped, ProcessId, RootId, TreePage};
use rusqlite::{Connection, Result, Row};

use super::pool::Snapshot;
use super::processes::Viewer;
use super::roots::find_row;
use super::row::{COLUMNS, ProcessRow};
use super::{ReadError, as_of, ids};
use crate::store::RootKey;

/// For a larger part of a tree than one in so many, all rows are read.
const PART: usize = 4;

/// One page of a tree.
pub(super) fn page(
    snapshot: &mut Snapshot<'_>,
    key: RootKey,
    (limit, cursor): (usize, Option<&str>),
    most_depth: u32,
) -> Result<Option<TreePage>, ReadError> {
    let as_of = as_of(snapshot)?;
    let (connection, dictionary) = snapshot.parts();
    let Some(row) = find_row(connection, key)? else { return Ok(None) };
    let (root, place) = (row.show(connection, dictionary)?, row.place());
    // Of a large part of the tree each row is read once.
    let is_part = limit < row.counts.iter().sum::<u64>() as usize / PART;
    let rows = if is_part { Vec::new() } else { all_rows(connection, place)? };
    let nodes = if is_part { nodes(connection, place)? } else { rows.iter().map(Node::try_from).collect::<Result<_>>()? };
    let Order { placed, ignored_parents, deep_parents, .. } = order(&nodes, most_depth);
    let begin = match cursor {
        None => 0,
        Some(cursor) => {
            let malformed = || ReadError::Cursor(cursor.to_owned());
            let last: ProcessId = cursor.parse().map_err(|_| malformed())?;
            placed.iter().position(|place| nodes[place.index as usize].id == last).ok_or_else(malformed)? + 1
        }
    };
    let end = begin.saturating_add(limit).min(placed.len());
    let shown = &placed[begin..end];

    let mut viewer = Viewer::default();
    let mut processes = Vec::with_capacity(shown.len());
    for Placed { index, depth, is_orphan, .. } in shown {
        let index = *index as usize;
        let id = nodes[index].id;
        let mut process = if let Some(row) = rows.get(index) {
            viewer.view(connection, dictionary, (root.root_id, root.number as i64), row)?
        } else {
            let row = ProcessRow::find(connection, place, id)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
            viewer.view(connection, dictionary, (root.root_id, root.number as i64), &row)?
        };
        (process.depth, process.orphan) = (Some(*depth), *is_orphan);
        processes.push(process);
    }
    let next_cursor = processes.last().filter(|_| end < placed.len()).map(|last| last.id.to_string());
    let dropped = dropped(connection, root.root_id)?;
    let (ignored_parents, deep_parents) = (ignored_parents as u64, deep_parents as u64);
    Ok(Some(TreePage { root, processes, ignored_parents, deep_parents, dropped, next_cursor, as_of }))
}

/// What all workers together dropped of a tree.
pub(super) fn dropped(connection: &Connection, root: RootId) -> Result<Vec<Dropped>> {
    let sql = "SELECT type, reason, count FROM dropped WHERE root = ?1 ORDER BY type, reason";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([ids::root_key(root)])?;
    let mut sums: Vec<Dropped> = Vec::new();
    while let Some(row) = rows.next()? {
        let (event_type, reason, count) = (row.get(0)?, row.get(1)?, row.get::<_, i64>(2)? as u64);
        match sums.last_mut().filter(|sum| sum.event_type == event_type && sum.reason == reason) {
            // Whoever posts says what count it likes.
            Some(sum) => sum.count = sum.count.saturating_add(count),
            None => sums.push(Dropped { event_type, reason, root_id: Some(root), count }),
        }
    }
    Ok(sums)
}

pub(super) fn nodes(connection: &Connection, (number, base): (i64, i64)) -> Result<Vec<Node>> {
    let mut statement = connection.prepare_cached("SELECT id, parent, at, site IS NOT NULL FROM process WHERE root = ?1")?;
    let node = |row: &Row<'_>| {
        let parent: Option<i64> = row.get(1)?;
        Ok(Node {
            id: ids::process_id(row.get(0)?)?,
            parent_id: parent.map(ids::process_id).transpose()?,
            at_us: (row.get::<_, i64>(2)? + base) as u64,
            is_defined: row.get(3)?,
        })
    };
    statement.query_map([number], node)?.collect()
}

fn all_rows(connection: &Connection, (number, base): (i64, i64)) -> Result<Vec<ProcessRow>> {
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM process WHERE root = ?1"))?;
    statement.query_map([number], |row| ProcessRow::read(row, base))?.collect()
}

impl TryFrom<&ProcessRow> for Node {
    type Error = rusqlite::Error;

    fn try_from(row: &ProcessRow) -> Result<Self> {
        let parent_id = row.parent.map(ids::process_id).transpose()?;
        Ok(Self { id: ids::process_id(row.id)?, parent_id, at_us: row.at as u64, is_defined: row.site.is_some() })
    }
}
