//! Reads the event log, and the models that are sent with its events.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;

use monitor_store::{Cursor, Logged, Models, RootKey, Subject};
use monitor_wire::{Process, ProcessId, Root, RootId, Worker, WorkerId};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Result};

use super::pool::Snapshot;
use super::processes::{self, Viewer};
use super::roots::{RootRow, find_row};
use super::row::ProcessRow;
use super::{as_of, ids, workers};

/// The piece that contains an event, if it is kept.
pub(super) const PIECE: &str = "SELECT first, last, piece FROM event_log WHERE first <= ?1 ORDER BY first DESC LIMIT 1";
/// Number of the oldest event.
pub(super) const OLDEST: &str = "SELECT min(first) FROM event_log";

/// A piece as it is stored.
pub(super) struct Piece {
    first: i64,
    last: i64,
    bytes: Vec<u8>,
}

impl Piece {
    /// Decodes the piece. This needs no snapshot.
    pub(super) fn read(&self) -> Result<Logged> {
        let logged = Logged::read(&self.bytes, self.first as u64, self.last as u64);
        logged.map_err(|error| ids::damaged(2, Type::Blob, error))
    }
}

/// Reads the piece that contains the event after number `after`.
pub(super) fn piece(connection: &Connection, after: u64) -> Result<Option<Piece>> {
    let Ok(next) = i64::try_from(after.saturating_add(1)) else { return Ok(None) };
    let piece = connection
        .prepare_cached(PIECE)?
        .query_row([next], |row| Ok(Piece { first: row.get(0)?, last: row.get(1)?, bytes: row.get(2)? }))
        .optional()?;
    Ok(piece.filter(|piece| piece.last >= next))
}

/// Returns the size of the log in bytes, and the number of its oldest event.
pub(super) fn figures(connection: &Connection) -> Result<(u64, Option<u64>)> {
    let bytes: i64 = connection.prepare_cached("SELECT logged FROM counter")?.query_row([], |row| row.get(0))?;
    let oldest: Option<i64> = connection.prepare_cached(OLDEST)?.query_row([], |row| row.get(0))?;
    Ok((bytes.max(0) as u64, oldest.map(|oldest| oldest as u64)))
}

/// Reads the cursor of a reader inside the server.
pub(super) fn cursor(connection: &Connection, name: &str) -> Result<Option<Cursor>> {
    let sql = "SELECT seq FROM cursor WHERE name = ?1";
    let seq: Option<i64> = connection.prepare_cached(sql)?.query_row([name], |row| row.get(0)).optional()?;
    let Some(seq) = seq.map(|seq| seq as u64) else { return Ok(None) };
    let is_behind = seq < as_of(connection)? && figures(connection)?.1.is_none_or(|oldest| oldest > seq + 1);
    Ok(Some(Cursor { seq, is_behind }))
}

/// Reads the models of each subject, and the number of the newest change in them.
pub(super) fn models(snapshot: &mut Snapshot<'_>, of: &[Subject]) -> Result<(Vec<Models>, u64)> {
    let as_of = as_of(snapshot)?;
    let mut read = ModelsRead::default();
    let models = of.iter().map(|subject| read.models(snapshot, *subject)).collect::<Result<_>>()?;
    Ok((models, as_of))
}

/// Models that were read for one answer, so that each is read only once.
#[derive(Default)]
struct ModelsRead {
    viewer: Viewer,
    roots: HashMap<RootId, Option<(RootRow, Root)>>,
    processes: HashMap<(RootId, ProcessId), Option<Process>>,
    workers: HashMap<WorkerId, Option<Worker>>,
}

impl ModelsRead {
    fn models(&mut self, snapshot: &mut Snapshot<'_>, of: Subject) -> Result<Models> {
        let Self { viewer, roots, processes, workers } = self;
        let (connection, dictionary) = snapshot.parts();
        let worker = match of.worker_id {
            Some(id) => once(workers, id, || workers::shown(connection, id))?.clone(),
            None => None,
        };
        let none = Models { worker, ..Models::default() };
        let Some(root_id) = of.root_id else { return Ok(none) };
        let root = once(roots, root_id, || {
            let row = find_row(connection, RootKey::Id(root_id))?;
            row.map(|row| row.show(connection, dictionary).map(|root| (row, root))).transpose()
        })?;
        let Some((row, root)) = root else { return Ok(none) };
        let process = match of.process_id {
            Some(id) => once(processes, (root_id, id), || {
                let Some(found) = ProcessRow::find(connection, row.place(), id)? else { return Ok(None) };
                let mut view = viewer.view(connection, dictionary, (row.id, row.number), &found)?;
                view.orphan = processes::is_orphan(connection, row, &view)?;
                Ok(Some(view))
            })?
            .clone(),
            None => None,
        };
        Ok(Models { root: Some(root.clone()), process, ..none })
    }
}

/// Returns the value of a key. Reads the value if the map doesn't contain the key.
fn once<K: Eq + Hash, V>(map: &mut HashMap<K, V>, key: K, read: impl FnOnce() -> Result<V>) -> Result<&V> {
    Ok(match map.entry(key) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(unknown) => unknown.insert(read()?),
    })
}
