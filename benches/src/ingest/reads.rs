//! Measures queries on a database of many processes while more are received.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::http::Connection;
use super::load::Plan;
use super::trees::Shape;
use super::{Options, limits};
use crate::machine;
use crate::report::{Bound, Column, Row, Samples, Section, Table, Target, progress};
use crate::server::Server;

/// Returns the queries: name, path, maximum median in ms, and number of repetitions per round.
fn questions(large_tree: u128) -> Vec<(&'static str, String, Option<f64>)> {
    let begin = 1_767_225_600_000_000_u64;
    let question = |name, path: &str, limit| (name, format!("/api/v1/{path}"), limit);
    vec![
        question("newest 50 roots", "roots", Some(1.0)),
        question("failed roots", "roots?state=failed", Some(2.0)),
        question("roots by name", "roots?name=nightly%20build", Some(2.0)),
        question("root by batch", "roots?batch=batch03-000017", Some(2.0)),
        question("text in names, batches, errors", "roots?q=order%201234", Some(100.0)),
        question("two Chinese characters", "roots?q=%E8%AE%A2%E5%8D%95", Some(100.0)),
        question("a text that is nowhere", "roots?q=nothing%20like%20this", Some(100.0)),
        question("processes of kind root", "processes?kind=root", None),
        question("processes by time", &format!("processes?started_after={begin}&started_before={}", begin + 900_000_000), None),
        question("tree of 10,000", &format!("roots/{large_tree:032x}/tree?limit=100000"), Some(25.0)),
        question("status", "status", None),
    ]
}

pub(super) fn grown(options: &Options) -> Result<Section> {
    let processes = if options.quick { 100_000 } else { options.millions * 1_000_000 };
    let mut server = Server::start_free(&options.monitor)?;
    progress("grown: filling");
    let large = Plan { shape: Shape::Trees(10_000), events: 20_000, connections: 1, events_per_batch: 1_000, first_connection: 90_000 };
    large.send(server.address(), None)?;
    let large_tree = large.trees_of(0).next().context("one tree")?.root;
    let most = if options.quick { 20_000 } else { 2_000_000 };
    let huge = Plan { shape: Shape::Huge, events: most, connections: 1, events_per_batch: 1_000, first_connection: 90_001 };
    huge.send(server.address(), None)?;
    let huge_tree = huge.trees_of(0).next().context("one tree")?.root;
    // In parts, so that the load itself needs no memory that the server's file cache could use.
    let parts = (processes / 1_000_000).max(1);
    let mut plans = (0..).map(|part| Plan {
        shape: Shape::Trees(200),
        events: (2 * processes / parts).min(2_000_000),
        connections: 8,
        events_per_batch: 1_000,
        first_connection: 8 * part,
    });
    for plan in plans.by_ref().take(parts as usize) {
        plan.send(server.address(), None)?;
    }
    let begin = Instant::now();
    server.restart(&[])?;
    let start_up = begin.elapsed().as_secs_f64();

    progress("grown: ingest");
    let plan = plans.next().context("there are always more")?;
    let folder = tempfile::tempdir()?;
    let raw = limits::raw_insert(folder.path(), plan)?;
    let alone = plan.send(server.address(), None)?;
    plan.check(server.address())?;

    progress("grown: reads");
    let questions = questions(large_tree);
    let quiet = ask(server.address(), &questions, None)?;
    let whole_quiet = ask_whole(server.address(), huge_tree, 3)?;
    let is_done = AtomicBool::new(false);
    let mut next = plans;
    let (whole_busy, busy) = std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let whole = ask_whole(server.address(), huge_tree, 1)?;
            Ok::<_, anyhow::Error>((whole, ask(server.address(), &questions, Some(&is_done))?))
        });
        let mut sent = Ok(());
        for plan in next.by_ref().take(if options.quick { 2 } else { 5 }) {
            sent = sent.and(plan.send(server.address(), None).map(drop));
        }
        is_done.store(true, Ordering::Relaxed);
        sent?;
        asking.join().expect("asking doesn't panic")
    })?;

    let mut rows = Vec::new();
    let mut targets = vec![
        Target::new("8 × 1,000 on this file: of raw SQLite on an empty one", alone.rate() / raw.rate, Bound::AtLeast(0.5)),
        Target::new("start-up, s", start_up, Bound::AtMost(1.0)),
    ];
    for (((name, _, limit), quiet), busy) in questions.iter().zip(&quiet).zip(&busy) {
        let figures = [quiet.median(), quiet.quantile(0.95), busy.median(), busy.quantile(0.95)];
        rows.push(Row { name: (*name).to_owned(), figures: figures.map(Some).to_vec() });
        let part = if name.starts_with("tree") { 0.95 } else { 0.5 };
        targets.extend(limit.map(|limit| Target::new(format!("{name}, at full ingest, ms"), busy.quantile(part), Bound::AtMost(limit))));
    }
    let whole = [whole_quiet.median(), whole_quiet.quantile(0.95), whole_busy.median(), whole_busy.quantile(0.95)];
    rows.push(Row { name: "tree of 1,000,000 as columns".to_owned(), figures: whole.map(Some).to_vec() });
    targets.push(Target::new("tree of 1,000,000 as columns, alone, ms", whole_quiet.median(), Bound::AtMost(1_500.0)));
    targets.push(Target::new("RSS, MiB", server.peak_rss_mib()?, Bound::AtMost(256.0)));
    let columns = ["quiet p50 ms", "p95", "at full ingest p50", "p95"].map(|name| Column::new(name, 2)).to_vec();
    let held = server.held()?;
    let notes = vec![
        format!(
            "{} processes in {} MiB; ingest {:.0} k events/s, raw {:.0} k/s, ack p99 {:.1} ms; start-up {start_up:.2} s; RSS {:.0} MiB.",
            held.processes,
            held.bytes >> 20,
            alone.rate() / 1e3,
            raw.rate / 1e3,
            alone.ack(0.99),
            server.peak_rss_mib()?
        ),
        format!("Load average {}.", machine::load()),
    ];
    let tables = vec![Table { title: "a page of 50".to_owned(), columns, rows }];
    Ok(Section { title: "On a file that has grown", tables, notes, targets })
}

/// Asks for a whole tree as columns; how long it took, in milliseconds.
fn ask_whole(address: &str, tree: u128, times: u32) -> Result<Samples> {
    let mut samples = Samples::default();
    for _ in 0..times {
        let mut socket = std::net::TcpStream::connect(address)?;
        let begin = Instant::now();
        let accept = "application/vnd.process-monitor.tree";
        write!(socket, "GET /api/v1/roots/{tree:032x}/tree HTTP/1.1\r\nHost: {address}\r\nAccept: {accept}\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer)?;
        ensure!(
            answer.starts_with(b"HTTP/1.1 200") && answer.len() > 10_000,
            "no tree: {}",
            String::from_utf8_lossy(&answer[..answer.len().min(300)])
        );
        samples.add(begin.elapsed().as_secs_f64() * 1e3);
    }
    Ok(samples)
}

/// Sends the queries in turn, a fixed number of times or until `is_done`; returns the duration of each in milliseconds.
fn ask(address: &str, questions: &[(&str, String, Option<f64>)], is_done: Option<&AtomicBool>) -> Result<Vec<Samples>> {
    let mut connection = Connection::open(address)?;
    let mut samples: Vec<Samples> = questions.iter().map(|_| Samples::default()).collect();
    let mut round = 0;
    while round < 3 || is_done.map_or(round < 50, |is_done| !is_done.load(Ordering::Relaxed)) {
        for ((_, path, _), samples) in questions.iter().zip(&mut samples) {
            let begin = Instant::now();
            connection.get(path)?;
            samples.add(begin.elapsed().as_secs_f64() * 1e3);
        }
        round += 1;
    }
    Ok(samples)
}
