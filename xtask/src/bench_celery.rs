//! Measures a server that records a cluster of Celery next to Flower, on one Redis, one after the other in one run. Both answer the same HTTP
//! requests, so one program measures both (`benches/rivals/flower.py`).

use std::fs::File;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::rivals;
use crate::run::{cargo, step, target, workspace};

/// Maximum time for the start of a program.
const PATIENCE: Duration = Duration::from_secs(60);
/// Number of tasks that are sent before the kill.
const KEPT: u64 = 20_000;
/// Rate of events that both can record, per second.
const SLOW: &str = "4000";
/// Higher rates, and the time for which they last, in seconds.
const FAST: [u64; 4] = [8_000, 12_000, 16_000, 24_000];
const SECONDS: u64 = 10;
/// Number of tasks that the API of Flower shows one by one.
const PINGS: u64 = 200;
/// Number of commands to a node.
const COMMANDS: u64 = 50;

/// A contender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ours,
    Flower,
}

/// Files and programs of a run.
#[derive(Debug)]
struct Bench {
    folder: PathBuf,
    python: PathBuf,
    /// The program `monitor`.
    monitor: PathBuf,
    broker: String,
    /// Address of our server.
    server: String,
}

/// A running program, which is killed at the end.
#[derive(Debug)]
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A row of the printed table: the figure's name, and the values of both.
struct Row {
    name: String,
    values: [Option<f64>; 2],
}

pub(crate) fn bench(args: &[String]) -> Result<()> {
    let (tasks, program) = match args {
        [] => (100_000, None),
        [tasks, rest @ ..] if rest.len() < 2 => {
            (tasks.parse().with_context(|| format!("{tasks:?} is no number of tasks"))?, rest.first().map(PathBuf::from))
        }
        _ => bail!("expected: bench celery [TASKS [PROGRAM]], where PROGRAM is a `monitor` that need not be built"),
    };
    let monitor = if let Some(program) = program {
        program
    } else {
        step("build the server", &mut cargo(&["build", "--release", "-p", "monitor-cli"]))?;
        target().join("release/monitor")
    };
    let python = rivals::flower()?;
    let folder = target().join("bench-celery");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("can't empty {}", folder.display()))?;
    }
    std::fs::create_dir_all(&folder)?;
    let port = free_port()?;
    let mut redis = Command::new("redis-server");
    redis.args(["--port", &port.to_string(), "--save", "", "--appendonly", "no", "--bind", "127.0.0.1"]).stdout(Stdio::null());
    let _redis = Running(redis.spawn().context("Redis is missing: apt-get install redis-server")?);
    let server = format!("127.0.0.1:{}", free_port()?);
    let bench = Bench { folder, python, monitor, broker: format!("redis://127.0.0.1:{port}/0"), server };
    let mut rows: Vec<Row> = Vec::new();
    for (at, kind) in [Kind::Ours, Kind::Flower].into_iter().enumerate() {
        for (name, value) in bench.measure(kind, tasks)? {
            match rows.iter_mut().find(|row| row.name == name) {
                Some(row) => row.values[at] = Some(value),
                None => rows.push(Row { values: if at == 0 { [Some(value), None] } else { [None, Some(value)] }, name }),
            }
        }
    }
    print(&rows)
}

fn print(rows: &[Row]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let shown = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.1}"));
    writeln!(out, "{:<52} {:>12} {:>12} {:>12}", "", "ours", "Flower", "ours/Flower")?;
    for Row { name, values: [ours, theirs] } in rows {
        let ratio = ours.zip(*theirs).filter(|(_, theirs)| *theirs != 0.0).map(|(ours, theirs)| ours / theirs);
        writeln!(
            out,
            "{name:<52} {:>12} {:>12} {:>12}",
            shown(*ours),
            shown(*theirs),
            ratio.map_or("-".to_owned(), |of| format!("{of:.3}"))
        )?;
    }
    Ok(())
}

impl Bench {
    /// Measures a contender. Returns its figures by name.
    fn measure(&self, kind: Kind, tasks: u64) -> Result<Vec<(String, f64)>> {
        let mut figures = Vec::new();
        let mut add = |name: &str, value: f64| {
            eprintln!("{kind:?}: {name}: {value:.1}");
            figures.push((name.to_owned(), value));
        };
        let (mut running, mut url) = self.start(kind, "data")?;
        let pid = running.0.id().to_string();
        let count = tasks.to_string();
        // First without loss, so that both know all tasks.
        let said = self.ask(&["rate", &self.broker, &url, &pid, &count, SLOW])?;
        add(&format!("events lost at {SLOW}/s, %"), lost(&said)?);
        add(&format!("memory with {count} tasks, MB"), number(&said, "memory")? / 1e6);
        if kind == Kind::Ours {
            add("database per task, bytes", self.database_bytes("data")? / tasks as f64);
        }
        let said = self.ask(&["pages", &url, &count])?;
        for (name, key) in [("first page of tasks, ms", "first"), ("last page of tasks, ms", "last"), ("metrics, ms", "metrics")] {
            add(name, number(&said, key)?);
        }
        let said = self.ask(&["visible", &self.broker, &url, &PINGS.to_string()])?;
        add("from event to found task, p50, ms", number(&said, "p50")?);
        add("from event to found task, p99, ms", number(&said, "p99")?);
        add("from command to reply of a node, p50, ms", self.round_trip(kind, &url)?);
        for rate in FAST {
            let tasks = (rate * SECONDS / 4).to_string();
            let said = self.ask(&["rate", &self.broker, &url, &pid, &tasks, &rate.to_string()])?;
            add(&format!("events lost at {rate}/s, %"), lost(&said)?);
        }
        let said = self.ask(&["rate", &self.broker, &url, &pid, &count, "0"])?;
        add("events lost, as fast as they can be sent, %", lost(&said)?);
        add("events recorded per second of these", number(&said, "seen")? / number(&said, "seconds")?);
        drop(running);

        (running, url) = self.start(kind, "killed")?;
        let pid = running.0.id().to_string();
        self.ask(&["rate", &self.broker, &url, &pid, &KEPT.to_string(), SLOW])?;
        // SIGKILL.
        drop(running);
        (running, url) = self.start(kind, "killed")?;
        let said = self.ask(&["count", &url, &KEPT.to_string()])?;
        add(&format!("tasks kept of {KEPT} after SIGKILL"), number(&said, "tasks")?);
        drop(running);
        Ok(figures)
    }

    /// Median time of a command to a real node, in milliseconds.
    fn round_trip(&self, kind: Kind, url: &str) -> Result<f64> {
        let log = || File::options().create(true).append(true).open(self.folder.join("node.log")).context("can't write a log");
        let mut node = Command::new(self.python.with_file_name("celery"));
        node.args(["--broker", &self.broker, "worker", "--pool", "solo", "-E", "-n", "w1@bench", "--loglevel", "error"]);
        node.current_dir(&self.folder).stdin(Stdio::null()).stdout(log()?).stderr(log()?);
        let _node = Running(node.spawn().with_context(|| format!("can't run {node:?}"))?);
        let token = match kind {
            Kind::Ours => {
                std::fs::read_to_string(self.folder.join("data/local.token")).context("our server has no token for local programs")?
            }
            Kind::Flower => "-".to_owned(),
        };
        // Our file has the address of the server, and then the token.
        let token = token.lines().last().unwrap_or_default();
        number(&self.ask(&["command", url, token, &COMMANDS.to_string()])?, "p50")
    }

    /// Starts a contender. Returns it with the address of Flower's API, as soon as it answers.
    fn start(&self, kind: Kind, data: &str) -> Result<(Running, String)> {
        let port = free_port()?;
        let log = || File::options().create(true).append(true).open(self.folder.join(format!("{kind:?}.log"))).context("can't write a log");
        let mut command = match kind {
            Kind::Ours => {
                let mut server = Command::new(&self.monitor);
                server
                    .args(["server", "--listen", &self.server, "--agent", "off", "--spool-dir", "off", "--data"])
                    .arg(self.folder.join(data));
                server.args(["--celery", &self.broker, "--flower-listen", &format!("127.0.0.1:{port}")]);
                server
            }
            Kind::Flower => {
                let mut flower = Command::new(self.python.with_file_name("celery"));
                flower.args(["--broker", &self.broker, "flower", "--address=127.0.0.1", &format!("--port={port}"), "--max-tasks=1000000"]);
                flower.env("FLOWER_UNAUTHENTICATED_API", "true");
                flower
            }
        };
        command.stdin(Stdio::null()).stdout(log()?).stderr(log()?);
        let mut running = Running(command.spawn().with_context(|| format!("can't run {command:?}"))?);
        let (url, begun) = (format!("http://127.0.0.1:{port}"), Instant::now());
        // It answers, and is subscribed to the events.
        while self.ask(&["ready", &self.broker, &url]).is_err() {
            if let Some(status) = running.0.try_wait()? {
                bail!("{kind:?} ended at its start ({status}), see {}", self.folder.display());
            }
            if begun.elapsed() > PATIENCE {
                bail!("{kind:?} does not answer, see {}", self.folder.display());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok((running, url))
    }

    /// Size of our database, without the past events for readers of the stream, which have a limit of their own.
    fn database_bytes(&self, data: &str) -> Result<f64> {
        let mut status = Command::new(&self.monitor);
        status
            .args(["status", "--json", "--server", &format!("http://{}", self.server)])
            .env("MONITOR_DATA", self.folder.join(data))
            .stdin(Stdio::null());
        let output = status.output().context("can't run monitor status")?;
        let said = serde_json::from_slice(&output.stdout).with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
        Ok(number(&said, "database_bytes")? - number(&said, "free_bytes")? - number(&said, "stream_log_bytes")?)
    }

    fn ask(&self, args: &[&str]) -> Result<Value> {
        let script = workspace().join("benches/rivals/flower.py");
        let output = Command::new(&self.python).arg(&script).args(args).stdin(Stdio::null()).output().context("can't run Python")?;
        if !output.status.success() {
            bail!("{} {args:?}: {}", script.display(), String::from_utf8_lossy(&output.stderr));
        }
        serde_json::from_slice(&output.stdout).context("no JSON")
    }
}

/// Share of the events that were not counted, in percent.
fn lost(said: &Value) -> Result<f64> {
    let [sent, seen] = [number(said, "sent")?, number(said, "seen")?];
    Ok(100.0 * (sent - seen) / sent)
}

fn number(said: &Value, name: &str) -> Result<f64> {
    said[name].as_f64().with_context(|| format!("no {name} in {said}"))
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
