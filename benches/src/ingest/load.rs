//! Loads for a server: batches that are created before the measurement, sent over several connections, and checked afterwards.

use std::collections::HashMap;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

use super::http::{self, Connection};
use super::trees::{Process, Shape, Tree, tree};

/// Description of a load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) shape: Shape,
    /// Approximate total number of events.
    pub(crate) events: u64,
    pub(crate) connections: u64,
    pub(crate) events_per_batch: usize,
    /// Distinguishes the trees of several loads on the same server.
    pub(crate) first_connection: u64,
}

/// Result of a load.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) events: u64,
    pub(crate) seconds: f64,
    /// Time until the acknowledgement of each batch, in milliseconds, ascending.
    pub(crate) acks: Vec<f64>,
    /// Number of responses that the server was busy.
    pub(crate) refused: u64,
    /// Size of all bodies, compressed.
    pub(crate) bytes: u64,
}

impl Plan {
    fn processes_per_connection(&self) -> u64 {
        self.events / self.shape.events_per_process() / self.connections
    }

    /// Returns the number of trees per connection, and of processes per tree.
    fn trees(&self) -> (u64, u32) {
        match self.shape {
            Shape::Trees(size) => ((self.processes_per_connection() / u64::from(size)).max(1), size),
            Shape::Batches => (self.processes_per_connection().max(1), 1),
            Shape::Scripts | Shape::Tasks => ((self.processes_per_connection() / 200).max(1), 200),
            Shape::Huge | Shape::HugeRandom => (1, self.processes_per_connection() as u32),
        }
    }

    /// Returns all trees of a connection.
    pub(crate) fn trees_of(self, connection: u64) -> impl Iterator<Item = Tree> {
        let (count, size) = self.trees();
        (0..count).map(move |number| tree(self.first_connection + connection, number, size, self.shape))
    }

    fn worker(&self, connection: u64) -> u128 {
        0x5b0c << 112 | u128::from(self.first_connection + connection)
    }

    /// The requests of a connection, in their order.
    fn requests(&self, address: &str, connection: u64) -> Result<Vec<(usize, Vec<u8>)>> {
        let (mut requests, mut json, mut count, mut sequence) = (Vec::new(), String::new(), 0, 1);
        let worker = format!(r#"{{"id":"{:032x}","hostname":"build-7","pid":4121,"program":"nightly"}}"#, self.worker(connection));
        let mut close = |json: &mut String, count: &mut usize| -> Result<()> {
            let body = format!(r#"{{"version":1,"worker":{worker},"sequence":{sequence},"sent_us":1767225600000000,"events":[{json}]}}"#);
            requests.push((*count, http::post(address, &zstd::bulk::compress(body.as_bytes(), 1)?)));
            sequence += *count;
            json.clear();
            *count = 0;
            Ok(())
        };
        for tree in self.trees_of(connection) {
            for number in 0..tree.len() {
                if count > 0 {
                    json.push(',');
                }
                count += tree.write_event(number, &mut json);
                if count >= self.events_per_batch {
                    close(&mut json, &mut count)?;
                }
            }
        }
        if count > 0 {
            close(&mut json, &mut count)?;
        }
        Ok(requests)
    }

    /// Sends the load as fast as it is acknowledged, or at `paced` events per second.
    pub(crate) fn send(self, address: &str, paced: Option<f64>) -> Result<Sent> {
        let made: Vec<_> = std::thread::scope(|scope| {
            let made: Vec<_> = (0..self.connections).map(|connection| scope.spawn(move || self.requests(address, connection))).collect();
            made.into_iter().map(|made| made.join().expect("making requests doesn't panic")).collect::<Result<_>>()
        })?;
        let mut connections = Vec::new();
        for _ in 0..self.connections {
            connections.push(Connection::open(address)?);
        }
        let per_connection = paced.map(|rate| rate / self.connections as f64);
        let begin = Instant::now();
        let results: Vec<Result<(Vec<f64>, u64)>> = std::thread::scope(|scope| {
            let sending: Vec<_> = connections
                .iter_mut()
                .zip(&made)
                .map(|(connection, requests)| {
                    scope.spawn(move || {
                        let (mut acks, mut refused, mut events) = (Vec::with_capacity(requests.len()), 0, 0);
                        for (count, request) in requests {
                            let due = per_connection.map_or(0.0, |rate| f64::from(events) / rate);
                            let early = due - begin.elapsed().as_secs_f64();
                            if early > 0.0 {
                                std::thread::sleep(std::time::Duration::from_secs_f64(early));
                            }
                            let sent = Instant::now();
                            refused += connection.send(request)?;
                            acks.push(sent.elapsed().as_secs_f64() * 1e3);
                            events += *count as u32;
                        }
                        Ok((acks, refused))
                    })
                })
                .collect();
            sending.into_iter().map(|sending| sending.join().expect("sending doesn't panic")).collect()
        });
        let seconds = begin.elapsed().as_secs_f64();
        let (mut acks, mut refused) = (Vec::new(), 0);
        for result in results {
            let (more, again) = result?;
            acks.extend(more);
            refused += again;
        }
        acks.sort_by(f64::total_cmp);
        let all = || made.iter().flatten();
        let bytes = all().map(|(_, request)| request.len() as u64).sum();
        Ok(Sent { events: all().map(|(count, _)| *count as u64).sum(), seconds, acks, refused, bytes })
    }

    /// Every tree must be there as it was sent.
    pub(crate) fn check(self, address: &str) -> Result<()> {
        std::thread::scope(|scope| {
            let checking: Vec<_> = (0..self.connections.min(2))
                .map(|part| {
                    scope.spawn(move || {
                        let mut connection = Connection::open(address)?;
                        let mut own = (part..self.connections).step_by(2);
                        own.try_for_each(|number| self.trees_of(number).try_for_each(|tree| check_tree(&mut connection, &tree)))
                    })
                })
                .collect();
            checking.into_iter().try_for_each(|checking| checking.join().expect("checking doesn't panic"))
        })
    }
}

impl Sent {
    pub(crate) fn rate(&self) -> f64 {
        self.events as f64 / self.seconds
    }

    /// The ack that `part` of the acks don't exceed, in milliseconds.
    pub(crate) fn ack(&self, part: f64) -> f64 {
        self.acks[((self.acks.len() - 1) as f64 * part).round() as usize]
    }
}

#[derive(Deserialize)]
struct Page {
    root: Value,
    processes: Vec<Shown>,
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Shown {
    id: String,
    parent_id: Option<String>,
    name: String,
    state: String,
    started_us: Option<u64>,
    elapsed_ns: Option<u64>,
    error: Option<Value>,
}

fn check_tree(connection: &mut Connection, tree: &Tree) -> Result<()> {
    let mut expected: HashMap<String, &Process> = tree.processes.iter().map(|process| (format!("{:016x}", process.id), process)).collect();
    let failed = tree.processes.iter().filter(|process| process.error.is_some()).count() as u64;
    let mut cursor = String::new();
    loop {
        let page = connection.get(&format!("/api/v1/roots/{:032x}/tree?limit=100000&cursor={cursor}", tree.root))?;
        let page: Page = serde_json::from_slice(&page)?;
        let counts = &page.root["counts"];
        let is_whole = counts["failed"] == failed && counts["succeeded"] == tree.processes.len() as u64 - failed;
        ensure!(is_whole && page.root["batch"] == *tree.batch, "tree {:032x} is shown as {}", tree.root, page.root);
        for shown in page.processes {
            let process = expected.remove(&shown.id).with_context(|| format!("{} was never sent", shown.id))?;
            let message = shown.error.as_ref().and_then(|error| error["message"].as_str().map(str::to_owned));
            let is_right = shown.parent_id == process.parent.map(|parent| format!("{parent:016x}"))
                && shown.name == process.name()
                && shown.state == if process.error.is_some() { "failed" } else { "succeeded" }
                && shown.started_us == Some(process.started_us)
                && shown.elapsed_ns == Some(process.elapsed_ns)
                && message == process.message();
            ensure!(is_right, "process {} of tree {:032x} is not as it was sent", shown.id, tree.root);
        }
        match page.next_cursor {
            Some(next) => cursor = next,
            None => break,
        }
    }
    ensure!(expected.is_empty(), "{} processes of tree {:032x} are missing", expected.len(), tree.root);
    Ok(())
}
