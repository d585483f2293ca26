//! Measures the cost of subscribers to the stream, and the delay of events.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::http::{self, Connection};
use super::trees::Shape;
use super::{Options, limits, plan};
use crate::machine;
use crate::report::{Bound, Column, Row, Samples, Section, Table, Target, progress};
use crate::server::Server;

/// Number of subscribers in the last row.
const MANY: usize = 1_000;

/// Query string with which the page's list subscribes (`crates/monitor-web/app/src/live/open.ts`).
const LIST: &str = "within=200000&subject=roots";

/// The stream of a server, line by line.
pub(super) struct Stream {
    reader: BufReader<TcpStream>,
}

impl Stream {
    /// Subscribes, and waits for the first message.
    pub(super) fn open(address: &str, query: &str) -> Result<Self> {
        let mut socket = TcpStream::connect(address).context("the server takes no connection")?;
        write!(socket, "GET /api/v1/stream{query} HTTP/1.1\r\nHost: {address}\r\n\r\n")?;
        let mut stream = Self { reader: BufReader::with_capacity(1 << 16, socket) };
        let mut line = String::new();
        while !line.starts_with(": connected") {
            line.clear();
            ensure!(stream.reader.read_line(&mut line)? > 0, "the server closed the stream");
        }
        Ok(stream)
    }

    /// Returns the connection.
    pub(super) fn socket(&mut self) -> &mut TcpStream {
        self.reader.get_mut()
    }

    /// Reads the stream to its end. A chunk may end within a line; a probe that is split in this way is missed, which its repetition
    /// compensates.
    fn follow(mut self, mut line_of: impl FnMut(&[u8])) {
        let mut line = Vec::new();
        while self.reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            line_of(&line);
            line.clear();
        }
    }
}

/// A lone root every 20 ms, by its number; when each was sent.
fn probe(address: &str, is_done: &AtomicBool, sent: &mpsc::Sender<(u64, Instant)>) -> Result<()> {
    let mut connection = Connection::open(address)?;
    let mut number = 0_u64;
    while !is_done.load(Ordering::Relaxed) {
        number += 1;
        let (root, worker) = (0x7e57_u128 << 112 | u128::from(number), 0x7e57_u128 << 112);
        let body = format!(
            r#"{{"version":1,"worker":{{"id":"{worker:032x}","hostname":"h","pid":1,"program":"probe"}},"sequence":{number},"sent_us":1,"events":[{{"type":"process-started","root_id":"{root:032x}","id":"{number:016x}","time_us":1767225600000000,"parent_id":null,"kind":"root","name":"probe"}}]}}"#
        );
        let request = http::post(address, &zstd::bulk::compress(body.as_bytes(), 1)?);
        sent.send((number, Instant::now()))?;
        connection.send(&request)?;
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Returns the number of the probe in a line of the stream.
fn probed(line: &[u8]) -> Option<u64> {
    const ROOT: &[u8] = br#""root_id":"7e57000000000000"#;
    // Mostly the first of a message's fields: no need to look at all of it.
    let head = &line[..line.len().min(200)];
    let at = head.windows(ROOT.len()).position(|part| part == ROOT)? + ROOT.len();
    u64::from_str_radix(str::from_utf8(line.get(at..at + 16)?).ok()?, 16).ok()
}

/// Measures the delay between the start of a probe's POST and its arrival at all subscribers, while 50,000 events a second are received.
pub(super) fn heard(server: &Server, subscribers: usize, query: &str, events: u64) -> Result<(Samples, f64)> {
    let (is_done, (sent, times)) = (AtomicBool::new(false), mpsc::channel());
    let (hear, heard) = mpsc::channel();
    let address = server.address();
    let streams: Vec<_> = (0..subscribers).map(|_| Stream::open(address, query)).collect::<Result<_>>()?;
    let sockets: Vec<_> = streams.iter().map(|stream| stream.reader.get_ref().try_clone()).collect::<Result<_, _>>()?;
    let mut samples = Samples::default();
    let ack = std::thread::scope(|scope| -> Result<f64> {
        for stream in streams {
            let hear = hear.clone();
            let follow = move || {
                stream.follow(|line| {
                    if let Some(number) = probed(line) {
                        let _ = hear.send((number, Instant::now()));
                    }
                });
            };
            std::thread::Builder::new().stack_size(256 << 10).spawn_scoped(scope, follow)?;
        }
        let probing = scope.spawn(|| probe(address, &is_done, &sent));
        let load = plan(Shape::Trees(200), events, 8, 500).send(address, Some(50_000.0));
        is_done.store(true, Ordering::Relaxed);
        probing.join().expect("probing doesn't panic")?;
        std::thread::sleep(Duration::from_millis(500));
        for socket in &sockets {
            drop(socket.shutdown(std::net::Shutdown::Both));
        }
        Ok(load?.ack(0.99))
    })?;
    drop((hear, sent));
    let times: std::collections::HashMap<_, _> = times.iter().collect();
    for (number, at) in heard {
        let since: &Instant = times.get(&number).context("a probe that was never sent")?;
        samples.add((at - *since).as_secs_f64() * 1e3);
    }
    ensure!(!samples.is_empty(), "no probe was received");
    Ok((samples, ack))
}

pub(super) fn measure(options: &Options) -> Result<Section> {
    let (full, paced) = if options.quick { (200_000, 100_000) } else { (4_000_000, 500_000) };
    let full = plan(Shape::Trees(200), full, 8, 1_000);
    let mut targets = Vec::new();
    let mut ingest = Vec::new();
    progress("live: full ingest");
    let raw = limits::raw_insert(tempfile::tempdir()?.path(), full)?;
    let mut alone = None;
    let lists = format!("?{LIST}");
    let run = format!("?{LIST}&root={:032x}", 1);
    for (name, query) in [
        ("no subscriber", None),
        ("one, to roots that end", Some("?types=worker-lost")),
        ("the page, on its list", Some(lists.as_str())),
        ("the page, on a run", Some(run.as_str())),
        ("one, to every event", Some("")),
    ] {
        if !name.contains(&options.row) && query.is_some() {
            continue;
        }
        let server = Server::start_free(&options.monitor)?;
        let bytes = AtomicU64::new(0);
        let sent = std::thread::scope(|scope| -> Result<_> {
            let mut socket = None;
            if let Some(query) = query {
                let mut stream = Stream::open(server.address(), query)?;
                socket = Some(stream.reader.get_ref().try_clone()?);
                let bytes = &bytes;
                scope.spawn(move || {
                    let mut part = vec![0; 1 << 18];
                    while let Ok(read @ 1..) = stream.reader.get_mut().read(&mut part) {
                        bytes.fetch_add(read as u64, Ordering::Relaxed);
                    }
                });
            }
            let sent = full.send(server.address(), None);
            if let Some(socket) = &socket {
                drop(socket.shutdown(std::net::Shutdown::Both));
            }
            sent
        })?;
        let read = bytes.load(Ordering::Relaxed) as f64 / sent.events as f64;
        let figures = [sent.rate() / 1e3, sent.rate() / raw.rate, sent.ack(0.99), read, server.peak_rss_mib()?];
        ingest.push(Row { name: name.to_owned(), figures: figures.map(Some).to_vec() });
        let without = *alone.get_or_insert(sent.rate());
        if name == "the page, on its list" {
            targets.push(Target::new("the page on its list: of the ingest without", sent.rate() / without, Bound::AtLeast(0.9)));
        }
        if query == Some("") {
            targets.push(Target::new("a subscriber to every event: of raw SQLite", sent.rate() / raw.rate, Bound::AtLeast(0.5)));
        }
    }
    let mut delays = Vec::new();
    for (name, subscribers, query) in [("one, to every event", 1, ""), ("1,000, to workers", MANY, "?types=worker-lost")] {
        progress(&format!("live: paced, {name}"));
        let server = Server::start_free(&options.monitor)?;
        // The other subscribers receive no event, so one more receives the probes.
        let extra = if subscribers > 1 {
            (0..subscribers).map(|_| Stream::open(server.address(), query)).collect::<Result<Vec<_>>>()?
        } else {
            Vec::new()
        };
        let (samples, ack) = heard(&server, 1, "", paced)?;
        drop(extra);
        let figures = [samples.median(), samples.quantile(0.99), ack, server.peak_rss_mib()?];
        delays.push(Row { name: name.to_owned(), figures: figures.map(Some).to_vec() });
        targets.push(Target::new(format!("{name}: from POST to the socket p99, ms"), samples.quantile(0.99), Bound::AtMost(50.0)));
        targets.push(Target::new(format!("{name}: ack p99, ms"), ack, Bound::AtMost(30.0)));
    }
    let names = |names: &[&str], decimals| names.iter().map(|name| Column::new(*name, decimals)).collect();
    let tables = vec![
        Table {
            title: "8 × 1,000, at full ingest".to_owned(),
            columns: names(&["k events/s", "× raw", "ack p99 ms", "bytes pushed/event", "RSS MiB"], 2),
            rows: ingest,
        },
        Table {
            title: "8 × 500, 50,000 events a second".to_owned(),
            columns: names(&["POST to socket p50 ms", "p99", "ack p99 ms", "RSS MiB"], 1),
            rows: delays,
        },
    ];
    Ok(Section { title: "Ingest: subscribers", tables, notes: vec![format!("Load average {}.", machine::load())], targets })
}
