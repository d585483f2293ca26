//! Measures the delay of senders while old trees are deleted.

use std::time::Instant;

use anyhow::{Result, ensure};

use super::trees::Shape;
use super::{Options, plan};
use crate::machine;
use crate::report::{Bound, Column, Row, Samples, Section, Table, Target, progress};
use crate::server::Server;

/// Processes of a tree.
const TREE: u64 = 200;
/// Events a second.
const RATE: f64 = 50_000.0;
/// Maximum number of rounds of two seconds.
const ROUNDS: u64 = 100;

/// Stores trees, starts the server with a rule that drops half of them, and sends until their space is given back to the disk.
pub(super) fn measure(options: &Options) -> Result<Section> {
    let going = if options.quick { 200_000 } else { 1_000_000 };
    let mut server = Server::start_free(&options.monitor)?;
    progress("dropping: filling");
    plan(Shape::Trees(TREE as u32), 4 * going, 8, 1_000).send(server.address(), None)?;
    let filled = server.held()?;
    server.restart(&["--retention-count", &(going / TREE).to_string()])?;
    let (begin, mut acks, mut round, mut bytes) = (Instant::now(), Samples::default(), 0, filled.bytes);
    let held = loop {
        progress(&format!("dropping: round {round}"));
        round += 1;
        ensure!(round < ROUNDS, "{} bytes are still there of {}", server.held()?.bytes, filled.bytes);
        let mut plan = plan(Shape::Trees(TREE as u32), 100_000, 8, 500);
        plan.first_connection = 8 * round;
        plan.send(server.address(), Some(RATE))?.acks.into_iter().for_each(|ack| acks.add(ack));
        let held = server.held()?;
        // The file has shrunk, and does not shrink further.
        if held.bytes < filled.bytes * 3 / 4 && held.bytes >= bytes {
            break held;
        }
        bytes = held.bytes;
    };
    let seconds = begin.elapsed().as_secs_f64();
    let stay = going..=going + round * 50_000;
    ensure!(stay.contains(&held.processes), "{} processes are there, not {stay:?}", held.processes);
    let figures = [acks.median(), acks.quantile(0.99), acks.quantile(1.0), seconds, server.peak_rss_mib()?].map(Some).to_vec();
    let columns = ["ack p50 ms", "p99", "slowest", "seconds until all is given back", "RSS MiB"].map(|name| Column::new(name, 1)).to_vec();
    let rows = vec![Row { name: format!("8 × 500, {going} of {} processes go", 2 * going), figures }];
    Ok(Section {
        title: "Ingest: 50,000 events a second while trees are dropped",
        tables: vec![Table { title: "trees of 200".to_owned(), columns, rows }],
        notes: vec![format!("Load average {}.", machine::load())],
        targets: vec![Target::new("ack p99 while a million processes go, ms", acks.quantile(0.99), Bound::AtMost(50.0))],
    })
}
