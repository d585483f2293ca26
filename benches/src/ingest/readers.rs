//! Measures the cost of 2,000 readers of the stream. Half of them request all events and read much slower than these arrive.

use std::io::{ErrorKind, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;

use super::Options;
use super::live::{Stream, heard};
use crate::machine;
use crate::report::{Bound, Column, Row, Section, Table, Target, progress};
use crate::server::Server;

/// Number of readers of each kind.
const OF_EACH: usize = 1_000;
/// Number of threads for the slow readers.
const THREADS: usize = 4;

/// Reads 4 KiB of each ten times a second, until it is done.
fn dawdle(mut streams: Vec<Stream>, is_done: &AtomicBool) -> Result<()> {
    let mut piece = [0; 4 << 10];
    for stream in &mut streams {
        stream.socket().set_nonblocking(true)?;
    }
    while !is_done.load(Ordering::Relaxed) {
        // One that is cut off stays away.
        streams.retain_mut(|stream| match stream.socket().read(&mut piece) {
            Ok(read) => read > 0,
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        });
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

pub(super) fn measure(options: &Options) -> Result<Section> {
    let events = if options.quick { 250_000 } else { 1_500_000 };
    let (mut rows, mut figures) = (Vec::new(), Vec::new());
    for (name, readers) in [("none", 0), ("1,000 to workers, 1,000 slow to every event", OF_EACH)] {
        progress(&format!("readers: {name}"));
        let mut server = Server::start_free(&options.monitor)?;
        // The additional reader of all events exceeds the default limit on subscribers.
        server.restart(&["--max-subscribers", &(2 * OF_EACH + 1).to_string()])?;
        let is_done = AtomicBool::new(false);
        let quick: Vec<_> = (0..readers).map(|_| Stream::open(server.address(), "?types=worker-lost")).collect::<Result<_>>()?;
        let mut slow: Vec<_> = (0..readers).map(|_| Stream::open(server.address(), "")).collect::<Result<_>>()?;
        let of_each_thread = slow.len() / THREADS;
        let (heard, ack) = std::thread::scope(|scope| {
            for _ in 0..THREADS {
                let some = slow.split_off(slow.len() - of_each_thread);
                let is_done = &is_done;
                scope.spawn(move || dawdle(some, is_done));
            }
            // One additional reader of all events.
            let heard = heard(&server, 1, "", events);
            is_done.store(true, Ordering::Relaxed);
            heard
        })?;
        drop(quick);
        let row = [heard.median(), heard.quantile(0.99), ack, server.peak_rss_mib()?];
        figures.push(row);
        rows.push(Row { name: name.to_owned(), figures: row.map(Some).to_vec() });
    }
    let targets = vec![
        Target::new("2,000 readers, half slow: more RSS, MiB", figures[1][3] - figures[0][3], Bound::AtMost(300.0)),
        Target::new("2,000 readers, half slow: ack p99, ms", figures[1][2], Bound::AtMost(60.0)),
    ];
    let columns = [("POST to socket p50 ms", 1), ("p99", 1), ("ack p99 ms", 1), ("RSS MiB", 0)];
    let columns = columns.map(|(name, decimals)| Column::new(name, decimals)).to_vec();
    let tables = vec![Table { title: "8 × 500, 50,000 events a second; readers besides one to every event".to_owned(), columns, rows }];
    Ok(Section { title: "Ingest: readers who dawdle", tables, notes: vec![format!("Load average {}.", machine::load())], targets })
}
