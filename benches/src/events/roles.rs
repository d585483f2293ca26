//! The roles of our side, such as sender and receiver: `monitor-benches events-role ROLE URL …`. Celery's are in `rivals/celery_events.py`.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Subcommand;
use monitor_client::task;
use monitor_receiver::{Receiver, State};
use serde_json::{Value, json};

use crate::ingest::http::{Connection, request};

/// The end is assumed after this time without an event.
const QUIET: Duration = Duration::from_secs(15);
const PATIENCE: Duration = Duration::from_mins(2);

/// Role of a program of ours, which begins on request.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// Sends four events of each task.
    Tell { url: String, tasks: u64, rate: f64 },
    /// Receives this number of events, with a handler that takes this number of milliseconds.
    Receive { url: String, events: u64, pause_ms: f64 },
    /// Queries all workers, this number of times.
    Ping { url: String, times: usize, workers: u64 },
    /// Answers queries.
    Work,
}

impl Role {
    pub(crate) fn run(self) -> Result<()> {
        let said = match self {
            Self::Tell { url: _, tasks, rate } => tell(tasks, rate)?,
            Self::Receive { url, events, pause_ms } => receive(&url, events, Duration::from_secs_f64(pause_ms / 1e3))?,
            Self::Ping { url, times, workers } => ping(&url, times, workers)?,
            Self::Work => work()?,
        };
        writeln!(io::stdout(), "{said}")?;
        Ok(())
    }
}

/// Reports that it is ready, and waits for a line.
fn begin() -> Result<()> {
    writeln!(io::stdout(), "ready")?;
    io::stdin().lock().read_line(&mut String::new())?;
    Ok(())
}

fn tell(tasks: u64, rate: f64) -> Result<Value> {
    begin()?;
    let begun = Instant::now();
    for number in 0..tasks {
        if rate > 0.0 {
            std::thread::sleep((begun + Duration::from_secs_f64(number as f64 / rate)).saturating_duration_since(Instant::now()));
        } else if number % 500 == 0 {
            // The send buffer is limited, and events beyond it are dropped.
            monitor_client::flush(PATIENCE)?;
        }
        let ticket = task::send("render").queue("video").args(&[7]).kwargs(&json!({})).begin();
        task::receive(&ticket).begin().returned(&7);
    }
    monitor_client::flush(PATIENCE)?;
    Ok(json!({ "told": 4 * tasks, "seconds": begun.elapsed().as_secs_f64() }))
}

#[derive(Default)]
struct Heard {
    first: Option<Instant>,
    last: Option<Instant>,
    newest: u64,
    received: u64,
    again: u64,
    counts: BTreeMap<String, u64>,
}

fn receive(url: &str, events: u64, pause: Duration) -> Result<Value> {
    let heard = Arc::new(Mutex::new(Heard::default()));
    let handled = Arc::clone(&heard);
    let mut receiver = Receiver::connect(url)?.types(["task-*"]).after(0).with_state(State::bounded(10_000, 5_000));
    receiver = receiver.on("*", move |event, _: &State| {
        let mut heard = handled.lock().unwrap_or_else(PoisonError::into_inner);
        heard.first.get_or_insert_with(Instant::now);
        heard.last = Some(Instant::now());
        *heard.counts.entry(event.type_name().to_owned()).or_default() += 1;
        // Numbers ascend: one that doesn't was there before.
        if event.number > heard.newest {
            (heard.newest, heard.received) = (event.number, heard.received + 1);
        } else {
            heard.again += 1;
        }
        drop(heard);
        if !pause.is_zero() {
            std::thread::sleep(pause);
        }
    });
    begin()?;
    receiver.capture_blocking(Some(events), Some(QUIET), false)?;
    let heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
    let seconds = heard.last.zip(heard.first).map_or(0.0, |(last, first)| (last - first).as_secs_f64());
    Ok(json!({ "received": heard.received, "again": heard.again, "seconds": seconds, "tasks": receiver.state().task_count() }))
}

fn ping(url: &str, times: usize, workers: u64) -> Result<Value> {
    let address = url.trim_start_matches("http://");
    let mut connection = Connection::open(address)?;
    let asked = request(address, "/api/v1/commands", "", &json!({"method": "ping", "timeout_ms": 1_000}));
    let mut ask = || -> Result<(Duration, Value)> {
        let begun = Instant::now();
        let answer = connection.ask(&asked)?;
        let took = begun.elapsed();
        Ok((took, serde_json::from_slice(&answer.body).context("the answer is JSON")?))
    };
    // A program opens its channel after two seconds.
    let begun = Instant::now();
    while ask()?.1["counts"]["ok"] != workers {
        ensure!(begun.elapsed() < PATIENCE, "the workers don't answer: {}", ask()?.1);
        std::thread::sleep(Duration::from_millis(100));
    }
    begin()?;
    let mut took = Vec::new();
    for _ in 0..times {
        let (seconds, answer) = ask()?;
        ensure!(answer["counts"]["ok"] == workers, "not all workers answered: {answer}");
        took.push(seconds.as_secs_f64());
    }
    Ok(json!({ "until all answered": took }))
}

fn work() -> Result<Value> {
    let worker = task::receive(&task::Ticket::default()).name("wait").begin();
    begin()?;
    worker.returned(&());
    Ok(json!({}))
}
