//! What the machine itself can do: the yardstick that the server is held against.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use rusqlite::Connection;

use super::load::Plan;
use crate::machine;
use crate::report::Samples;

/// Milliseconds of an `fdatasync` after a write of 8 KiB to the end of a file.
pub(crate) fn fdatasync(folder: &Path) -> Result<Samples> {
    let mut file = File::create(folder.join("sync"))?;
    let mut samples = Samples::default();
    for _ in 0..100 {
        file.write_all(&[7; 8 << 10])?;
        let begin = Instant::now();
        file.sync_data()?;
        samples.add(begin.elapsed().as_secs_f64() * 1e3);
    }
    Ok(samples)
}

/// How fast something went.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Speed {
    /// Events per second.
    pub(crate) rate: f64,
    /// Processor time per event, in microseconds: what other work on the machine hardly changes.
    pub(crate) cpu_us: f64,
}

/// What plain `SQLite` makes of a load whose starts and ends are folded already: rows of integers, sorted by
/// their key, 10,000 events a transaction, with the settings of the server.
pub(crate) fn raw_insert(folder: &Path, plan: Plan) -> Result<Speed> {
    let mut rows: Vec<Vec<[i64; 12]>> = Vec::new();
    let (mut part, mut number) = (Vec::new(), 0);
    for connection in 0..plan.connections {
        for tree in plan.trees_of(connection) {
            number += 1;
            let base = tree.processes[0].started_us as i64;
            for process in &tree.processes {
                let started = process.started_us as i64 - base;
                let parent = process.parent.unwrap_or(0) as i64;
                let failed = i64::from(process.error.is_some());
                let elapsed = process.elapsed_ns as i64;
                part.push([number, process.id as i64, parent, process.name as i64, 3, started, 0, elapsed, failed, 1_000, 3, 0]);
                if part.len() == 5_000 {
                    part.sort_unstable();
                    rows.push(std::mem::take(&mut part));
                }
            }
        }
    }
    part.sort_unstable();
    rows.push(part);
    let connection = Connection::open(folder.join("raw.db"))?;
    connection.execute_batch(
        "PRAGMA page_size=8192; PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-32768;
         PRAGMA wal_autocheckpoint=2000; PRAGMA temp_store=MEMORY;
         CREATE TABLE process(root INTEGER, id INTEGER, parent, site, origin, at, skew, elapsed, state, start_no, end_no, more,
                              PRIMARY KEY(root, id)) WITHOUT ROWID",
    )?;
    let (begin, cpu) = (Instant::now(), machine::cpu_seconds("self")?);
    for part in &rows {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let mut insert = connection.prepare_cached("INSERT INTO process VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12)")?;
        for row in part {
            for (index, value) in row.iter().enumerate() {
                insert.raw_bind_parameter(index + 1, value)?;
            }
            insert.raw_execute()?;
        }
        connection.execute_batch("COMMIT")?;
    }
    let seconds = begin.elapsed().as_secs_f64();
    let events = 2.0 * rows.iter().map(Vec::len).sum::<usize>() as f64;
    Ok(Speed { rate: events / seconds, cpu_us: (machine::cpu_seconds("self")? - cpu) * 1e6 / events })
}
