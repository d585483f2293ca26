//! Query for the status of the store.

use std::collections::BTreeMap;

use monitor_wire::{Counts, Dropped, Status, WorkerCounts};
use rusqlite::{Connection, Result, Row};

use super::pool::Snapshot;
use super::write::tally;
use super::{as_of, ids, names};

pub(super) fn read(snapshot: &mut Snapshot<'_>) -> Result<Status> {
    let as_of = as_of(snapshot)?;
    let (connection, dictionary) = snapshot.parts();
    let mut counts = [Counts::default(), Counts::default()];
    for (what, counts) in [tally::ROOTS, tally::PROCESSES].into_iter().zip(&mut counts) {
        for (code, count) in tallied(connection, what)? {
            *counts.of(&ids::state(connection, dictionary, code)?) += count;
        }
    }
    let [roots, processes] = counts;
    let mut unknown_events = BTreeMap::new();
    for (kind, count) in tallied(connection, tally::UNKNOWN)? {
        unknown_events.insert(dictionary.text(connection, kind)?.to_string(), count);
    }
    let waiting_events = total(connection, tally::WAITING)?;
    let mut workers = WorkerCounts::default();
    for (code, count) in tallied(connection, tally::WORKERS)? {
        *[&mut workers.online, &mut workers.offline, &mut workers.lost][code as usize] += count;
    }
    let events: i64 = connection.query_row("SELECT events FROM counter", [], |row| row.get(0))?;
    let (page_bytes, pages, free) = super::retention::pages(connection)?;
    let (stream_log_bytes, stream_log_from) = super::event_log::figures(connection)?;
    Ok(Status {
        as_of,
        events: events as u64,
        unknown_events,
        waiting_events,
        roots,
        failing_names: names::failing(connection)?,
        processes,
        workers,
        dropped: dropped(connection)?,
        database_bytes: (pages * page_bytes) as u64,
        free_bytes: (free * page_bytes) as u64,
        stream_log_bytes,
        stream_log_from,
        ..Status::default()
    })
}

fn tallied(connection: &Connection, what: i64) -> Result<Vec<(i64, u64)>> {
    let mut statement = connection.prepare_cached("SELECT of, count FROM tally WHERE what = ?1")?;
    statement.query_map([what], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64)))?.collect()
}

/// Returns the sum of a tally over all its keys.
pub(super) fn total(connection: &Connection, what: i64) -> Result<u64> {
    Ok(tallied(connection, what)?.iter().map(|(_, count)| count).sum())
}

/// Number of events that all workers dropped, by type and reason.
pub(super) const DROPPED: &str = "SELECT type, reason, count FROM dropped_sum ORDER BY type, reason";

fn dropped(connection: &Connection) -> Result<Vec<Dropped>> {
    let mut statement = connection.prepare_cached(DROPPED)?;
    let dropped =
        |row: &Row<'_>| Ok(Dropped { event_type: row.get(0)?, reason: row.get(1)?, root_id: None, count: row.get::<_, i64>(2)? as u64 });
    statement.query_map([], dropped)?.collect()
}
