//! Measures the cost of 2,000 workers with a channel each, and the time until all of them have answered a ping.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::Options;
use super::http::{Connection, request};
use crate::machine;
use crate::report::{Bound, Column, Row, Samples, Section, Table, Target, progress};
use crate::server::Server;

/// Number of workers.
const WORKERS: u64 = 2_000;
/// Workers that are connected before memory is first measured, because the server also allocates memory that does not belong to a channel.
const FIRST: u64 = 400;
/// Number of threads that answer for the workers.
const THREADS: u64 = 8;
/// Number of pings to all workers.
const PINGS: usize = 10;

/// A simulated worker that consists of its channel only.
struct Worker {
    id: String,
    key: String,
    orders: BufReader<TcpStream>,
}

impl Worker {
    fn open(server: &Server, number: u64) -> Result<Self> {
        let (id, key) = (format!("{number:032x}"), format!("{number:064x}"));
        let online = json!({
            "version": 1, "sequence": 1, "sent_us": 1, "worker": {"id": id, "hostname": "h", "pid": number, "program": format!("p{number}")},
            "events": [{"type": "worker-online", "time_us": 1, "started_us": 1, "version": "1", "heartbeat_interval_ms": 600_000}],
        });
        let answer = Connection::open(server.address())?.ask(&request(server.address(), "/api/v1/events", "", &online))?;
        ensure!(answer.status == 200, "a worker is refused: {}", String::from_utf8_lossy(&answer.body));
        let mut orders = TcpStream::connect(server.address())?;
        orders.set_read_timeout(Some(Duration::from_mins(1)))?;
        let address = server.address();
        write!(orders, "GET /api/v1/workers/{id}/commands HTTP/1.1\r\nHost: {address}\r\nmonitor-channel-key: {key}\r\n\r\n")?;
        let mut worker = Self { id, key, orders: BufReader::new(orders) };
        worker.line("event: open")?;
        worker.line("data: ")?;
        Ok(worker)
    }

    /// Returns the rest of the next line that begins with `beginning`.
    fn line(&mut self, beginning: &str) -> Result<String> {
        let mut line = String::new();
        loop {
            line.clear();
            if self.orders.read_line(&mut line).context("a channel can't be read")? == 0 {
                bail!("a channel has ended");
            }
            if let Some(rest) = line.strip_prefix(beginning) {
                return Ok(rest.to_owned());
            }
        }
    }

    /// Waits for an order. Returns the request that answers it.
    fn answer(&mut self, address: &str) -> Result<Vec<u8>> {
        let order: Value = serde_json::from_str(self.line("data: ")?.trim())?;
        let id = order["id"].as_str().context("an order has an id")?;
        let reply = json!({"worker_id": self.id, "status": "ok", "value": "pong"});
        Ok(request(address, &format!("/api/v1/commands/{id}/replies"), &format!("monitor-channel-key: {}\r\n", self.key), &reply))
    }
}

/// Opens the channels of workers of these numbers, several at once.
fn open(server: &Server, numbers: RangeInclusive<u64>) -> Result<Vec<Worker>> {
    let numbers: Vec<u64> = numbers.collect();
    let part = |numbers: &[u64]| numbers.iter().map(|number| Worker::open(server, *number)).collect::<Result<Vec<_>>>();
    std::thread::scope(|scope| {
        let parts = numbers.chunks(numbers.len().div_ceil(THREADS as usize));
        let opening: Vec<_> = parts.map(|numbers| scope.spawn(move || part(numbers))).collect();
        let opened = opening.into_iter().map(|opening| opening.join().expect("no panic")).collect::<Result<Vec<_>>>()?;
        Ok(opened.into_iter().flatten().collect())
    })
}

/// Asks all workers, and answers for them. Returns how long it took until there was the answer of all.
fn ping(address: &str, workers: &mut [Worker]) -> Result<Duration> {
    let asked = request(address, "/api/v1/commands", "", &json!({"method": "ping", "timeout_ms": 60_000}));
    let begun = Instant::now();
    let (answer, took) = std::thread::scope(|scope| {
        let answering: Vec<_> = workers
            .chunks_mut(WORKERS.div_ceil(THREADS) as usize)
            .map(|workers| {
                scope.spawn(move || -> Result<()> {
                    let mut replies = Connection::open(address)?;
                    for worker in workers {
                        let status = replies.ask(&worker.answer(address)?)?.status;
                        ensure!(status == 204, "a reply is answered by {status}");
                    }
                    Ok(())
                })
            })
            .collect();
        let answer = Connection::open(address)?.ask(&asked)?;
        let took = begun.elapsed();
        for answering in answering {
            answering.join().expect("no panic")?;
        }
        anyhow::Ok((answer, took))
    })?;
    let answer: Value = serde_json::from_slice(&answer.body).context("the answer is JSON")?;
    ensure!(answer["counts"]["ok"] == WORKERS, "not all have answered: {}", answer["counts"]);
    Ok(took)
}

pub(super) fn measure(options: &Options) -> Result<Section> {
    progress(&format!("{WORKERS} channels"));
    let server = Server::start_free(&options.monitor)?;
    let mut workers = open(&server, 1..=FIRST)?;
    let before = server.rss_kib()?;
    workers.extend(open(&server, FIRST + 1..=WORKERS)?);
    let bytes = (server.rss_kib()? - before) * 1024.0 / (WORKERS - FIRST) as f64;
    let mut took = Samples::default();
    for number in 1..=PINGS {
        progress(&format!("ping {number} of {PINGS}"));
        took.add(ping(server.address(), &mut workers)?.as_secs_f64() * 1e3);
    }
    let (median, most) = (took.median(), took.quantile(1.0));
    let columns = [("ping of all ms, median", 0), ("most", 0), ("bytes/idle channel", 0)];
    Ok(Section {
        title: "Commands",
        tables: vec![Table {
            title: format!("{WORKERS} workers; {PINGS} pings"),
            columns: columns.map(|(name, decimals)| Column::new(name, decimals)).to_vec(),
            rows: vec![Row { name: "ping".to_owned(), figures: [median, most, bytes].map(Some).to_vec() }],
        }],
        notes: vec![format!("The workers answer from the same cores. Load average {}.", machine::load())],
        targets: vec![
            Target::new("a ping of 2,000 workers, ms", most, Bound::AtMost(1_000.0)),
            Target::new("bytes of the server an idle channel takes", bytes, Bound::AtMost(40_960.0)),
        ],
    })
}
