//! Queries for workers.

use std::collections::HashMap;

use monitor_state::{WorkerFacts, WorkerStatus};
use monitor_store::{RootKey, worker};
use monitor_wire::{Dropped, RootId, Worker, WorkerId, WorkerTasks, WorkersPage};
use rusqlite::{Connection, OptionalExtension, Result, Row};

use super::pool::Snapshot;
use super::roots::find_row;
use super::{ReadError, as_of, ids, number_of};

const COLUMNS: &str = "key, id, last_seen, open, facts, lag";

/// Reads the numbers of events that a worker dropped.
pub(super) fn dropped(connection: &Connection, key: i64) -> Result<Vec<Dropped>> {
    let sql = "SELECT type, reason, root, count FROM dropped WHERE worker = ?1 ORDER BY type, reason, root";
    let mut statement = connection.prepare_cached(sql)?;
    let dropped = |row: &Row<'_>| {
        let root: Vec<u8> = row.get(2)?;
        let root_id = <[u8; 16]>::try_from(root).ok().and_then(|bytes| RootId::new(u128::from_be_bytes(bytes)));
        Ok(Dropped { event_type: row.get(0)?, reason: row.get(1)?, root_id, count: row.get::<_, i64>(3)? as u64 })
    };
    statement.query_map([key], dropped)?.collect()
}

/// Counts the tasks that a worker processed, by their result.
pub(super) fn tasks(connection: &Connection, key: i64) -> Result<WorkerTasks> {
    let sql = "SELECT text.value, count FROM worker_events JOIN text ON text.id = type WHERE worker = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let (mut rows, mut tasks) = (statement.query([key])?, WorkerTasks::default());
    while let Some(row) = rows.next()? {
        tasks.add(row.get_ref(0)?.as_str()?, row.get::<_, i64>(1)? as u64);
    }
    Ok(tasks)
}

/// Returns the key of a worker.
pub(super) fn key(connection: &Connection, id: WorkerId) -> Result<Option<i64>> {
    let mut statement = connection.prepare_cached("SELECT key FROM worker WHERE id = ?1")?;
    statement.query_row([ids::worker_key(id)], |row| row.get(0)).optional()
}

/// Returns those of the workers that have open processes in a tree.
pub(super) fn running_in(connection: &Connection, root: RootKey, workers: &[WorkerId]) -> Result<Vec<WorkerId>> {
    let Some(root) = find_row(connection, root)? else { return Ok(Vec::new()) };
    let sql = "SELECT EXISTS (SELECT 1 FROM open WHERE worker = (SELECT key FROM worker WHERE id = ?1) AND root = ?2)";
    let mut statement = connection.prepare_cached(sql)?;
    let mut running = Vec::new();
    for worker in workers {
        if statement.query_row(rusqlite::params![ids::worker_key(*worker), root.number], |row| row.get(0))? {
            running.push(*worker);
        }
    }
    Ok(running)
}

/// Reads the status of a worker, which the state of its open processes depends on.
pub(super) fn status(connection: &Connection, id: WorkerId) -> Result<WorkerStatus> {
    let mut statement = connection.prepare_cached("SELECT state, offline FROM worker WHERE id = ?1")?;
    let status = |row: &Row<'_>| {
        Ok(match (row.get(0)?, row.get::<_, Option<i64>>(1)?) {
            (2, _) => WorkerStatus::Lost,
            (_, Some(time)) => WorkerStatus::Offline { time_us: time as u64 },
            (_, None) => WorkerStatus::Online,
        })
    };
    Ok(statement.query_row([ids::worker_key(id)], status).optional()?.unwrap_or_default())
}

/// Reads one worker, with its registered functions.
pub(super) fn one(snapshot: &Snapshot<'_>, id: WorkerId) -> Result<Option<Worker>> {
    let mut statement = snapshot.prepare_cached(&format!("SELECT {COLUMNS} FROM worker WHERE id = ?1"))?;
    let found = statement.query_row([ids::worker_key(id)], |row| Ok((read(snapshot, row)?, row.get::<_, i64>(0)?))).optional()?;
    let Some(((mut worker, facts), key)) = found else { return Ok(None) };
    worker.registered = facts.online().map(|announced| announced.registered.clone()).unwrap_or_default();
    let sql = "SELECT text.value, count FROM worker_events JOIN text ON text.id = type WHERE worker = ?1";
    let mut statement = snapshot.prepare_cached(sql)?;
    let events = statement.query_map([key], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64)))?;
    worker.events = events.collect::<Result<_>>()?;
    Ok(Some(worker))
}

/// Reads one worker, with the data that lists show.
pub(super) fn shown(connection: &Connection, id: WorkerId) -> Result<Option<Worker>> {
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM worker WHERE id = ?1"))?;
    statement.query_row([ids::worker_key(id)], |row| read(connection, row)).optional().map(|found| found.map(|(worker, _)| worker))
}

/// Lists the watched workers that are online, with the time at which each was last seen.
pub(super) fn online(connection: &Connection) -> Result<Vec<(WorkerId, u64)>> {
    let mut statement = connection.prepare_cached("SELECT id, last_seen FROM worker WHERE due IS NOT NULL AND state = 0")?;
    let online = statement.query_map([], |row| Ok((ids::worker(row, 0)?, row.get::<_, i64>(1)? as u64)))?;
    online.collect()
}

/// Reads one page of workers, newest first.
pub(super) fn list(snapshot: &Snapshot<'_>, limit: usize, cursor: Option<&str>) -> Result<WorkersPage, ReadError> {
    let begin = cursor.map_or(Ok(i64::MAX), number_of)?;
    let sql = format!("SELECT {COLUMNS} FROM worker WHERE key < ?1 ORDER BY key DESC LIMIT {}", limit.saturating_add(1));
    let mut statement = snapshot.prepare_cached(&sql)?;
    let mut rows = statement.query([begin])?;
    let mut page = WorkersPage { workers: Vec::new(), next_cursor: None, as_of: as_of(snapshot)? };
    let mut last = begin;
    while let Some(row) = rows.next()? {
        if page.workers.len() == limit {
            page.next_cursor = Some(last.to_string());
            break;
        }
        last = row.get(0)?;
        page.workers.push(read(snapshot, row)?.0);
    }
    Ok(page)
}

fn read(connection: &Connection, row: &Row<'_>) -> Result<(Worker, WorkerFacts)> {
    let facts: WorkerFacts = ids::from_json(4, row.get_ref(4)?.as_blob()?)?;
    let dropped = dropped(connection, row.get(0)?)?;
    let mut is_online = HashMap::new();
    for relay in facts.relayed_by() {
        is_online.insert(relay, status(connection, relay)? == WorkerStatus::Online);
    }
    let is_unheard = facts.is_behind_silence(|relay| is_online[&relay]);
    let (seen, tasks) = ((row.get::<_, i64>(2)? as u64, row.get(5)?), tasks(connection, row.get(0)?)?);
    let worker = worker::view(ids::worker(row, 1)?, &facts, is_unheard, seen, row.get(3)?, dropped, tasks);
    Ok((worker, facts))
}
