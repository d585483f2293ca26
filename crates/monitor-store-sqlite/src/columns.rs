//! Reads a whole tree as columns. The snapshot ends before the first byte is sent, so that a slow client doesn't hold it.

use foldhash::HashMap;
use monitor_state::{Node, Order, WorkerStatus, order};
use monitor_store::RootKey;
use monitor_store::columns::{Cells, Head, NOWHERE, Origin, Site, TreeColumns, UNKNOWN, more, state_code};
use monitor_wire::{Process, WorkerId};
use rusqlite::{Connection, Result};

use super::dictionary::Dictionary;
use super::pool::Snapshot;
use super::processes::Viewer;
use super::roots::find_row;
use super::row::{COLUMNS, Known, Plain, ProcessRow};
use super::tree::dropped;
use super::{as_of, ids};

/// Reads a whole tree; `None` if it doesn't exist.
pub(super) fn read(snapshot: &mut Snapshot<'_>, key: RootKey, most_depth: u32) -> Result<Option<TreeColumns>> {
    let as_of = as_of(snapshot)?;
    let (connection, dictionary) = snapshot.parts();
    let Some(root) = find_row(connection, key)? else { return Ok(None) };
    let count = root.counts.iter().sum::<u64>() as usize;
    let shown = root.show(connection, dictionary)?;
    let dropped = dropped(connection, root.id)?;
    let head = Head { root: shown, ignored_parents: 0, deep_parents: 0, dropped, as_of, count };
    let mut tables = Tables { tree: TreeColumns::new(head, count), places: Places::default(), viewer: Viewer::default() };
    let mut nodes = Vec::with_capacity(count);

    let (number, base) = root.place();
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM process WHERE root = ?1"))?;
    let mut rows = statement.query([number])?;
    while let Some(row) = rows.next()? {
        let row = ProcessRow::read(row, base)?;
        nodes.push(Node::try_from(&row)?);
        tables.push(connection, dictionary, &row)?;
    }
    let mut tree = tables.tree;
    let Order { placed, ignored_parents, deep_parents, .. } = order(&nodes, root.id, most_depth);
    for placed in placed.iter().filter(|placed| placed.is_orphan) {
        if let Some(parent) = nodes[placed.index as usize].parent_id {
            tree.add_told_parent(placed.index, parent);
        }
    }
    (tree.head.ignored_parents, tree.head.deep_parents, tree.head.count) = (ignored_parents as u64, deep_parents as u64, placed.len());
    tree.placed = placed;
    Ok(Some(tree))
}

/// A tree that is being read.
struct Tables {
    tree: TreeColumns,
    places: Places,
    viewer: Viewer,
}

/// Name, kind and source location.
type ShownSite = (String, String, Option<(String, u32)>);

/// Indexes in the tables, by the keys of the database.
#[derive(Default)]
struct Places {
    sites: HashMap<i64, u32>,
    origins: HashMap<i64, u32>,
    errors: HashMap<(i64, i64), u32>,
    /// Indexes of sites and origins that were converted by [`Viewer`], by their values.
    shown_sites: HashMap<ShownSite, u32>,
    shown_origins: HashMap<(Option<WorkerId>, Option<String>), u32>,
}

impl Tables {
    fn push(&mut self, connection: &Connection, dictionary: &mut Dictionary, row: &ProcessRow) -> Result<()> {
        let cells = match row.known(connection, dictionary)? {
            // The viewer derives the state of an open process from its worker's, and it reads exit code, signal and reason of an end.
            Known::Plain(plain) if !plain.is_open() && !is_of_command(connection, dictionary, &plain)? => {
                self.plain(connection, dictionary, row, &plain)?
            }
            _ => {
                let root = &self.tree.head.root;
                let process = self.viewer.view(connection, dictionary, (root.root_id, root.number as i64), row)?;
                if let Some(more) = more(&process) {
                    self.tree.more.insert(self.tree.rows.len() as u32, more);
                }
                self.shown(process)?
            }
        };
        self.tree.rows.push(cells);
        Ok(())
    }

    fn plain(&mut self, connection: &Connection, dictionary: &mut Dictionary, row: &ProcessRow, plain: &Plain) -> Result<Cells> {
        let (ended_us, elapsed_ns) = plain.ended(WorkerStatus::Online);
        let (origins, errors) = (&mut self.tree.origins, &mut self.tree.errors);
        Ok(Cells {
            id: ids::process_id(row.id)?,
            started_us: plain.start.map_or(UNKNOWN, |start| start.time_us),
            ended_us: ended_us.unwrap_or(UNKNOWN),
            elapsed_ns: elapsed_ns.unwrap_or(UNKNOWN),
            site: self.places.site(connection, dictionary, row.site, &mut self.tree.sites)?,
            origin: place(&mut self.places.origins, plain.origin, origins, || {
                let (worker, thread) = dictionary.origin(connection, plain.origin)?;
                let thread = thread.filter(|_| plain.start.is_some()).map(|thread| thread.to_string());
                Ok(Origin { worker_id: Some(dictionary.worker_id(connection, worker)?), thread })
            })?,
            error: match plain.end.and_then(|end| end.error()) {
                Some(keys) => place(&mut self.places.errors, keys, errors, || Ok((*dictionary.error(connection, keys)?).clone()))?,
                None => NOWHERE,
            },
            state: state_code(&plain.state(WorkerStatus::Online)),
        })
    }

    fn shown(&mut self, process: Process) -> Result<Cells> {
        let (origins, errors) = (&mut self.tree.origins, &mut self.tree.errors);
        let error = process.error.inspect(|error| errors.push(error.clone())).map_or(NOWHERE, |_| errors.len() as u32 - 1);
        let (worker_id, thread) = (process.worker_id, process.thread);
        let origin = if worker_id.is_none() && thread.is_none() {
            NOWHERE
        } else {
            place(&mut self.places.shown_origins, (worker_id, thread.clone()), origins, || Ok(Origin { worker_id, thread }))?
        };
        let Process { name, kind, source, .. } = process;
        let site = if name.is_empty() && kind.as_str().is_empty() {
            NOWHERE
        } else {
            let key = (name.clone(), kind.to_string(), source.clone().map(|source| (source.file, source.line)));
            place(&mut self.places.shown_sites, key, &mut self.tree.sites, || Ok(Site { name, kind, source }))?
        };
        Ok(Cells {
            id: process.id,
            started_us: process.started_us.unwrap_or(UNKNOWN),
            ended_us: process.ended_us.unwrap_or(UNKNOWN),
            elapsed_ns: process.elapsed_ns.unwrap_or(UNKNOWN),
            site,
            origin,
            error,
            state: state_code(&process.state),
        })
    }
}

/// Returns true if the end of a process has data without a column: an exit code, a signal or a reason.
fn is_of_command(connection: &Connection, dictionary: &mut Dictionary, plain: &Plain) -> Result<bool> {
    let ending = plain.end.and_then(|end| end.ending).map(|keys| dictionary.ending(connection, keys)).transpose()?;
    Ok(ending.is_some_and(|ending| ending.is_of_command()))
}

impl Places {
    fn site(&mut self, connection: &Connection, dictionary: &mut Dictionary, key: Option<i64>, sites: &mut Vec<Site>) -> Result<u32> {
        let Some(key) = key else { return Ok(NOWHERE) };
        place(&mut self.sites, key, sites, || {
            let site = dictionary.site(connection, key)?;
            Ok(Site { name: site.name.to_string(), kind: site.kind.clone(), source: site.source.clone() })
        })
    }
}

/// Returns the index of a key in a table. Adds the value from `make` if the key is new.
fn place<K: std::hash::Hash + Eq, T>(
    places: &mut HashMap<K, u32>,
    key: K,
    table: &mut Vec<T>,
    make: impl FnOnce() -> Result<T>,
) -> Result<u32> {
    if let Some(place) = places.get(&key) {
        return Ok(*place);
    }
    let place = table.len() as u32;
    table.push(make()?);
    places.insert(key, place);
    Ok(place)
}
