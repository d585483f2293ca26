//! Finds links between trees from the process that they lead to.

use monitor_store::{MOST_LINKED, RootKey};
use monitor_wire::{LinkFrom, LinkedFrom, ProcessId, RootId};
use rusqlite::{Connection, Result, params};

use super::dictionary::{Dictionary, hash};
use super::ids;
use super::pool::Snapshot;
use super::processes::Viewer;
use super::roots::{RootWords, find_row};
use super::row::{Known, ProcessRow};

/// Processes that have a link with the hash ?1, newest trees first. Remaining rows of deleted trees are left out.
pub(super) const FROM: &str = "SELECT linked.root, linked.id FROM linked JOIN root ON root.number = linked.root \
    WHERE linked.hash = ?1 ORDER BY linked.root DESC, linked.id DESC LIMIT ?2";

/// Returns the hash that identifies links to a process.
fn hash_of(root: RootId, id: ProcessId) -> i64 {
    hash(&format!("{root}/{id}"))
}

/// Returns the hashes of the processes that a process has links to, except those in its `own` tree, sorted and without duplicates.
pub(super) fn hashes_of(known: &Known, own: Option<RootId>) -> Vec<i64> {
    let Known::Full(facts) = known else { return Vec::new() };
    let mut hashes: Vec<i64> =
        facts.links.iter().filter(|link| Some(link.root_id) != own).map(|link| hash_of(link.root_id, link.id)).collect();
    hashes.sort_unstable();
    hashes.dedup();
    hashes
}

/// Reads the links that lead to a process from other trees: those of up to `limit` processes.
pub(super) fn from(snapshot: &mut Snapshot<'_>, target: (RootId, ProcessId), limit: usize) -> Result<LinkedFrom> {
    let (connection, dictionary) = snapshot.parts();
    let mut statement = connection.prepare_cached(FROM)?;
    let places = statement.query_map(params![hash_of(target.0, target.1), MOST_LINKED as i64], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let places = places.collect::<Result<Vec<(i64, i64)>>>()?;
    let mut found = LinkedFrom { count: places.len() as u64, links: Vec::new() };
    let mut rest = limit;
    for (number, id) in places {
        if rest == 0 {
            break;
        }
        let links = of_process(connection, dictionary, (number, id), target)?;
        if links.is_empty() {
            // Another target has the same hash.
            found.count -= 1;
        } else {
            rest -= 1;
            found.links.extend(links);
        }
    }
    Ok(found)
}

/// Returns the links of a process that lead to the target.
fn of_process(
    connection: &Connection,
    dictionary: &mut Dictionary,
    (number, id): (i64, i64),
    target: (RootId, ProcessId),
) -> Result<Vec<LinkFrom>> {
    let Some(root) = find_row(connection, RootKey::Number(number as u64))? else { return Ok(Vec::new()) };
    let Some(row) = ProcessRow::find(connection, root.place(), ids::process_id(id)?)? else { return Ok(Vec::new()) };
    let process = Viewer::default().view(connection, dictionary, (root.id, number), &row)?;
    let words = RootWords::of(&root, connection, dictionary)?;
    let links = process.links.into_iter().filter(|link| (link.root_id, link.id) == target);
    Ok(links
        .map(|link| LinkFrom {
            root_id: root.id,
            title: words.title(number),
            id: process.id,
            name: process.name.clone(),
            state: process.state.clone(),
            relation: link.relation,
        })
        .collect())
}
