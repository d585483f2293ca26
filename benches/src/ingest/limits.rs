//! Measures the limits of the machine itself, with which the server is compared.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use rusqlite::{Connection, params};

use super::load::Plan;
use super::trees::{Process, SHARED, Shape};
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

/// The tables and indexes of the server.
const SCHEMA: &str = include_str!("../../../crates/monitor-store-sqlite/src/schema.sql");
/// Approximate number of events per transaction.
const EVENTS_PER_TRANSACTION: usize = 10_000;
const SUCCEEDED: i64 = 0;
const FAILED: i64 = 3;

/// A process, folded.
#[derive(Clone, Copy)]
struct Row {
    /// Its tree on its connection.
    tree: (u64, u32),
    id: i64,
    parent: Option<i64>,
    name: i64,
    at: i64,
    elapsed: i64,
    error: Option<i64>,
    numbers: (i64, i64),
}

/// A tree: id, base, end, how many failed.
type Root = (u128, i64, i64, i64);

/// The processes that begin in each batch of a connection, and its trees.
fn rows_of(plan: Plan, connection: u64) -> (Vec<Vec<Row>>, Vec<Root>) {
    let (mut batches, mut roots, mut number) = (Vec::new(), Vec::new(), 0_usize);
    let key = |id: u64| (id ^ (1 << 63)) as i64;
    for tree in plan.trees_of(connection) {
        let base = tree.processes[0].started_us as i64;
        let row = |process: &Process| Row {
            tree: (connection, roots.len() as u32),
            id: key(process.id),
            parent: process.parent.map(key),
            name: process.name as i64 + 1,
            at: process.started_us as i64 - base,
            elapsed: process.elapsed_ns as i64,
            error: process.error.map(|error| error as i64 + 100),
            numbers: (0, 0),
        };
        let mut rows: Vec<Row> = tree.processes.iter().map(row).collect();
        let order: Vec<_> = tree.order().collect();
        for (number, (index, is_start)) in (number as i64 + 1..).zip(&order) {
            *(if *is_start { &mut rows[*index].numbers.0 } else { &mut rows[*index].numbers.1 }) = number;
        }
        for (index, is_start) in order {
            if is_start {
                batches.resize_with((number / plan.events_per_batch + 1).max(batches.len()), Vec::new);
                batches[number / plan.events_per_batch].push(rows[index]);
            }
            number += 1;
        }
        let failed = rows.iter().filter(|row| row.error.is_some()).count() as i64;
        roots.push((tree.root, base, rows[0].elapsed / 1_000, failed));
    }
    (batches, roots)
}

/// Inserts the rows that the server would write with plain `SQLite`: the same tables, indexes, settings and order, of batches from all
/// connections in turn, which are folded and sorted before the measurement. It writes the rows of processes, of failed and rare processes,
/// and of trees with batch marks. It reads nothing, computes no sums, and looks up no texts.
pub(crate) fn raw_insert(folder: &Path, plan: Plan) -> Result<Speed> {
    let (batches, trees): (Vec<_>, Vec<_>) = (0..plan.connections).map(|connection| rows_of(plan, connection)).unzip();
    let rounds = batches.iter().map(Vec::len).max().unwrap_or(0);
    let at_once = EVENTS_PER_TRANSACTION.div_ceil(plan.events_per_batch * plan.connections as usize);
    let mut numbers = HashMap::new();
    let mut transactions = Vec::new();
    for round in (0..rounds).step_by(at_once) {
        let mut rows = Vec::new();
        for connection in &batches {
            let part = connection.iter().skip(round).take(at_once).flatten();
            rows.extend(part.map(|row| {
                let next = numbers.len() as i64 + 1;
                (*numbers.entry(row.tree).or_insert(next), *row)
            }));
        }
        rows.sort_unstable_by_key(|(number, row)| (*number, row.id));
        transactions.push(rows);
    }
    drop(batches);

    let connection = Connection::open(folder.join("raw.db"))?;
    connection.execute_batch(
        "PRAGMA page_size=8192; PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-32768;
         PRAGMA wal_autocheckpoint=4000; PRAGMA temp_store=MEMORY;",
    )?;
    connection.execute_batch(SCHEMA)?;
    let (begin, cpu) = (Instant::now(), machine::cpu_seconds("self")?);
    let (mut known, mut count) = (0, 0);
    for rows in &transactions {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        insert(&connection, rows, &trees, &mut known, if plan.shape == Shape::Batches { SHARED as u32 } else { 1 })?;
        connection.execute_batch("COMMIT")?;
        count += rows.len();
    }
    let seconds = begin.elapsed().as_secs_f64();
    let events = 2.0 * count as f64;
    Ok(Speed { rate: events / seconds, cpu_us: (machine::cpu_seconds("self")? - cpu) * 1e6 / events })
}

/// Inserts rows. `shared` is the number of trees of a connection with the same batch mark.
fn insert(connection: &Connection, rows: &[(i64, Row)], trees: &[Vec<Root>], known: &mut i64, shared: u32) -> Result<()> {
    let mut process = connection.prepare_cached(
        "INSERT INTO process(root, id, parent, site, origin, at, skew, elapsed, state, start_no, end_no, error, cause, batch)
         VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?;
    let mut failed = connection.prepare_cached("INSERT INTO failed(root, ended, id, parent) VALUES(?1, ?2, ?3, ?4)")?;
    let mut root = connection.prepare_cached(
        "INSERT INTO root(number, id, base, last, process, own, at, name, batch, worker, state, started, ended, elapsed, error, cause,
         pending, running, succeeded, failed, cancelled, lost, other, pinned)
         VALUES(?1, ?2, ?3, ?4, ?5, 1, 0, 1, ?6, 1, ?7, 0, ?4, ?8, ?9, ?9, 0, 0, ?10, ?11, 0, 0, 0, 0)",
    )?;
    let mut text = connection.prepare_cached("INSERT INTO text(id, hash, value, found) VALUES(?1, ?2, ?3, 1)")?;
    let mut rare = connection.prepare_cached("INSERT INTO rare(kind, root, id) VALUES(1, ?1, ?2)")?;
    for (number, row) in rows {
        let state = if row.error.is_some() { FAILED } else { SUCCEEDED };
        let mark = 10_000 + 64 * i64::from(row.tree.1 / shared) + row.tree.0 as i64;
        let batch = row.parent.is_none().then_some(mark);
        let numbers = [Some(*number), Some(row.id), row.parent, Some(row.name), Some(3), Some(row.at), Some(0), Some(row.elapsed)];
        let more = [Some(state), Some(row.numbers.0), Some(row.numbers.1), row.error, row.error, batch];
        for (index, value) in (1..).zip(numbers.into_iter().chain(more)) {
            process.raw_bind_parameter(index, value)?;
        }
        process.raw_execute()?;
        if row.error.is_some() {
            failed.execute(params![number, row.at + row.elapsed / 1_000, row.id, row.parent])?;
        }
        if *number > *known {
            *known = *number;
            let (id, base, ended, errors) = trees[row.tree.0 as usize][row.tree.1 as usize];
            let id = id.to_be_bytes();
            if row.tree.1 % shared == 0 {
                let words = format!("batch{:02}-{:06}", row.tree.0, row.tree.1 / shared);
                // A hash is scattered.
                text.execute(params![mark, number.wrapping_mul(0x9e37_79b9) & 0xffff_ffff, words])?;
            }
            rare.execute([number, &row.id])?;
            root.execute(params![number, id, base, ended, row.id, mark, state, row.elapsed, row.error, 1, errors])?;
        }
    }
    Ok(())
}
