//! Queries for trees.

use monitor_state::{Node, Order, Placed, order};
use monitor_store::{ReadTree, RootKey};
use monitor_wire::{Dropped, Process, ProcessId, RootId, TreePage};
use rusqlite::{Connection, Result, Row};

use super::dictionary::Dictionary;
use super::pool::Snapshot;
use super::processes::Viewer;
use super::roots::find_row;
use super::row::{COLUMNS, ProcessRow};
use super::{ReadError, as_of, ids};

/// A page with at least 1/`PART` of a tree's processes reads all rows of the tree at once.
const PART: usize = 4;

/// Maximum number of processes of a page, and its cursor.
type PageOfChildren<'a> = (usize, Option<&'a str>);

/// Passes one page of a tree to `read`, each process before the next one is read. Returns false if there is no such tree.
pub(super) fn read(
    snapshot: &mut Snapshot<'_>,
    key: RootKey,
    place: PageOfChildren<'_>,
    most_depth: u32,
    read: ReadTree<'_>,
) -> Result<bool, ReadError> {
    let Some((page, part)) = Part::read(snapshot, key, place, most_depth)? else { return Ok(false) };
    let (connection, dictionary) = snapshot.parts();
    let mut failure = None;
    read(page, &mut part.processes(connection, dictionary).map_while(|process| process.map_err(|error| failure = Some(error)).ok()));
    failure.map_or(Ok(true), |error| Err(error.into()))
}

/// The processes of a page, before they are converted for clients.
struct Part {
    root: (RootId, i64),
    base: i64,
    nodes: Vec<Node>,
    /// Rows of all nodes; empty if the page has only few of them.
    rows: Vec<ProcessRow>,
    shown: Vec<Placed>,
}

impl Part {
    fn read(
        snapshot: &mut Snapshot<'_>,
        key: RootKey,
        (limit, cursor): PageOfChildren<'_>,
        most_depth: u32,
    ) -> Result<Option<(TreePage, Self)>, ReadError> {
        let as_of = as_of(snapshot)?;
        let (connection, dictionary) = snapshot.parts();
        let Some(row) = find_row(connection, key)? else { return Ok(None) };
        let (root, place, count) = (row.show(connection, dictionary)?, row.place(), row.counts.iter().sum::<u64>() as usize);
        // For a large part of the tree, all rows are read at once.
        let is_part = limit < count / PART;
        let rows = if is_part { Vec::new() } else { all_rows(connection, place, count)? };
        let nodes = if is_part { nodes(connection, place)? } else { rows.iter().map(Node::try_from).collect::<Result<_>>()? };
        let Order { placed, ignored_parents, deep_parents, .. } = order(&nodes, row.id, most_depth);
        let begin = match cursor {
            None => 0,
            Some(cursor) => {
                let malformed = || ReadError::Cursor(cursor.to_owned());
                let last: ProcessId = cursor.parse().map_err(|_| malformed())?;
                placed.iter().position(|place| nodes[place.index as usize].id == last).ok_or_else(malformed)? + 1
            }
        };
        let end = begin.saturating_add(limit).min(placed.len());
        let shown = placed[begin..end].to_vec();
        let last = shown.last().filter(|_| end < placed.len());
        let page = TreePage {
            processes: Vec::new(),
            ignored_parents: ignored_parents as u64,
            deep_parents: deep_parents as u64,
            dropped: dropped(connection, root.root_id)?,
            next_cursor: last.map(|last| nodes[last.index as usize].id.to_string()),
            as_of,
            root,
        };
        let part = Self { root: (page.root.root_id, place.0), base: place.1, nodes, rows, shown };
        Ok(Some((page, part)))
    }

    fn processes<'a>(&'a self, connection: &'a Connection, dictionary: &'a mut Dictionary) -> impl Iterator<Item = Result<Process>> + 'a {
        let mut viewer = Viewer::default();
        self.shown.iter().map(move |Placed { index, depth, is_orphan, .. }| {
            let index = *index as usize;
            let mut process = if let Some(row) = self.rows.get(index) {
                viewer.view(connection, dictionary, self.root, row)?
            } else {
                let row = ProcessRow::find(connection, (self.root.1, self.base), self.nodes[index].id)?;
                viewer.view(connection, dictionary, self.root, &row.ok_or(rusqlite::Error::QueryReturnedNoRows)?)?
            };
            (process.depth, process.orphan) = (Some(*depth), *is_orphan);
            Ok(process)
        })
    }
}

/// Reads the numbers of events of a tree that all workers together dropped.
pub(super) fn dropped(connection: &Connection, root: RootId) -> Result<Vec<Dropped>> {
    let sql = "SELECT type, reason, count FROM dropped WHERE root = ?1 ORDER BY type, reason";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([ids::root_key(root)])?;
    let mut sums: Vec<Dropped> = Vec::new();
    while let Some(row) = rows.next()? {
        let (event_type, reason, count) = (row.get(0)?, row.get(1)?, row.get::<_, i64>(2)? as u64);
        match sums.last_mut().filter(|sum| sum.event_type == event_type && sum.reason == reason) {
            // Clients may report any count, so the sum must not overflow.
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

/// Reads all rows of a tree with about `count` processes.
fn all_rows(connection: &Connection, (number, base): (i64, i64), count: usize) -> Result<Vec<ProcessRow>> {
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM process WHERE root = ?1"))?;
    let (mut all, mut rows) = (Vec::with_capacity(count), statement.query([number])?);
    while let Some(row) = rows.next()? {
        all.push(ProcessRow::read(row, base)?);
    }
    Ok(all)
}

impl TryFrom<&ProcessRow> for Node {
    type Error = rusqlite::Error;

    fn try_from(row: &ProcessRow) -> Result<Self> {
        let parent_id = row.parent.map(ids::process_id).transpose()?;
        Ok(Self { id: ids::process_id(row.id)?, parent_id, at_us: row.at as u64, is_defined: row.site.is_some() })
    }
}
