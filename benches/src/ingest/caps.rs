//! Measures how far the server exceeds a limit on trees while it receives the maximum number of events.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rusqlite::{Connection, OpenFlags};

use super::trees::Shape;
use super::{Options, plan};
use crate::machine;
use crate::report::{Bound, Column, Row, Section, Table, Target, progress};
use crate::server::Server;

/// Trees that are to stay, and processes of each.
const KEPT: u64 = 40;
const TREE: u64 = 200;
/// Senders take turns: some prepare their next batch while the others send.
const SENDERS: u64 = 3;
/// Events that each of them sends at once.
const AT_ONCE: u64 = 400_000;
/// Maximum time after the last event until retention has reached the limit.
const PATIENCE: Duration = Duration::from_mins(2);

/// Sends to a server with a limit of a few trees, and observes the number of stored processes.
pub(super) fn measure(options: &Options) -> Result<Section> {
    let time = Duration::from_secs(if options.quick { 30 } else { 270 });
    let mut server = Server::start_free(&options.monitor)?;
    server.restart(&["--retention-count", &KEPT.to_string()])?;
    let (is_done, sent, begin) = (AtomicBool::new(false), AtomicU64::new(0), Instant::now());
    let (mut most_processes, mut most_mib) = (0, 0.0_f64);
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let (server, is_done, sent) = (&server, &is_done, &sent);
                scope.spawn(move || {
                    for round in 0.. {
                        if is_done.load(Ordering::Relaxed) {
                            break;
                        }
                        let mut plan = plan(Shape::Trees(TREE as u32), AT_ONCE, 4, 1_000);
                        plan.first_connection = 4 * (round * SENDERS + sender);
                        sent.fetch_add(plan.send(server.address(), None)?.events, Ordering::Relaxed);
                    }
                    Ok::<_, anyhow::Error>(())
                })
            })
            .collect();
        let mut looked = 0;
        while begin.elapsed() < time {
            std::thread::sleep(Duration::from_millis(500));
            let (processes, mib) = (server.held()?.processes, used_mib(&server.database())?);
            most_processes = most_processes.max(processes);
            most_mib = most_mib.max(mib);
            if begin.elapsed().as_secs() / 10 > looked {
                looked = begin.elapsed().as_secs() / 10;
                progress(&format!("caps: {} s, {processes} processes are kept, {mib:.0} MiB are in use", begin.elapsed().as_secs()));
            }
        }
        is_done.store(true, Ordering::Relaxed);
        senders.into_iter().try_for_each(|sender| sender.join().expect("sending doesn't panic"))
    })?;
    let (rate, ended) = (sent.load(Ordering::Relaxed) as f64 / begin.elapsed().as_secs_f64(), Instant::now());
    // Retention runs at least once a minute.
    while server.held()?.processes > KEPT * TREE {
        anyhow::ensure!(ended.elapsed() < PATIENCE, "{} processes are still kept", server.held()?.processes);
        std::thread::sleep(Duration::from_millis(200));
    }
    let figures = [rate / 1e3, most_processes as f64, most_mib, ended.elapsed().as_secs_f64(), server.peak_rss_mib()?].map(Some).to_vec();
    let columns = [("k events/s", 0), ("most processes kept", 0), ("most MiB in use", 0), ("seconds until all is well", 1), ("RSS MiB", 0)];
    let columns = columns.map(|(name, decimals)| Column::new(name, decimals)).to_vec();
    let rows = vec![Row { name: format!("{} s, a cap of {KEPT} trees", time.as_secs()), figures }];
    Ok(Section {
        title: "Ingest: as much as is taken, under a cap",
        tables: vec![Table { title: format!("trees of {TREE}"), columns, rows }],
        notes: vec![format!("Load average {}.", machine::load())],
        targets: vec![
            Target::new("most processes kept under a cap of 8,000", most_processes as f64, Bound::AtMost((10 * KEPT * TREE) as f64)),
            Target::new("most MiB in use meanwhile", most_mib, Bound::AtMost(256.0)),
        ],
    })
}

/// Mebibytes of a database without its free pages.
fn used_mib(database: &Path) -> Result<f64> {
    let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).context("no database")?;
    let pragma = |name: &str| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
    Ok((pragma("page_count")? - pragma("freelist_count")?) as f64 * pragma("page_size")? as f64 / f64::from(1 << 20))
}
