//! A real `monitor server` with a folder of its own.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use serde_json::Value;
use tempfile::TempDir;

use crate::{cores, machine};

/// It ends with the measurement.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    url: String,
    monitor: PathBuf,
    folder: TempDir,
}

/// Stored data of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    /// Processes in any state.
    pub(crate) processes: u64,
    /// Events that clients had to drop.
    pub(crate) dropped: u64,
    /// Bytes of the database.
    pub(crate) bytes: u64,
    /// The part of `bytes` that belongs to the log of events, which does not grow with the stored trees.
    pub(crate) logged: u64,
}

impl Server {
    /// Starts a new server on a free port, on the core for background work.
    pub(crate) fn start(monitor: &Path) -> Result<Self> {
        Self::start_by(monitor, &[], cores::spawn_behind)
    }

    /// A new one, at a free port, on all cores.
    pub(crate) fn start_free(monitor: &Path) -> Result<Self> {
        Self::start_with(monitor, &[])
    }

    /// Starts a new server on a free port, on all cores, with additional arguments.
    pub(crate) fn start_with(monitor: &Path, more: &[&str]) -> Result<Self> {
        Self::start_by(monitor, more, spawn)
    }

    /// Starts a server that writes the time of its activities to a file.
    pub(crate) fn start_told(monitor: &Path, told: File) -> Result<Self> {
        Self::start_by(monitor, &[], |command| spawn(command.env("RUST_LOG", "warn,monitor_server::timings=debug").stderr(told)))
    }

    fn start_by(monitor: &Path, more: &[&str], spawn: impl FnOnce(&mut Command) -> Result<Child>) -> Result<Self> {
        let folder = tempfile::tempdir().context("no temporary folder")?;
        let (child, url) = start(monitor, folder.path(), "127.0.0.1:0", more, spawn)?;
        Ok(Self { child, url, monitor: monitor.to_owned(), folder })
    }

    /// Kills it, as SIGKILL does.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Kills the server, unless it is already dead, and starts it again with the same folder and address, on all cores, with additional
    /// arguments.
    pub(crate) fn restart(&mut self, more: &[&str]) -> Result<()> {
        self.kill()?;
        (self.child, self.url) = start(&self.monitor, self.folder.path(), self.address(), more, spawn)?;
        Ok(())
    }

    /// Its address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Number of its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Its database.
    pub(crate) fn database(&self) -> PathBuf {
        self.data().join("monitor.db")
    }

    /// Folder in which clients store records that the server has not acknowledged.
    pub(crate) fn spool(&self) -> PathBuf {
        self.folder.path().join("spool")
    }

    /// Returns the number of processes in folds of the newest trees, not counting the one that each fold is in [`Held`].
    pub(crate) fn folded(&self) -> Result<u64> {
        let get = |path: &str| -> Result<Value> {
            let mut answer = ureq::get(format!("{}/api/v1{path}", self.url)).call().context("the server does not answer")?;
            // A tree is larger than the default limit.
            answer.body_mut().with_config().limit(1 << 30).read_json().context("the answer is JSON")
        };
        let mut folded = 0;
        for root in get("/roots?limit=10")?["roots"].as_array().context("a list")? {
            let id = root["root_id"].as_str().context("a root has an id")?;
            let tree = get(&format!("/roots/{id}/tree?limit=100000"))?;
            let counts = tree["processes"].as_array().context("a list")?.iter().filter_map(|process| process["fold"]["count"].as_u64());
            folded += counts.map(|count| count.saturating_sub(1)).sum::<u64>();
        }
        Ok(folded)
    }

    /// Its address without a scheme.
    pub(crate) fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// Peak memory so far.
    pub(crate) fn peak_rss_mib(&self) -> Result<f64> {
        Ok(self.memory_kib("VmHWM:")? / 1024.0)
    }

    /// The memory that it has now.
    pub(crate) fn rss_kib(&self) -> Result<f64> {
        self.memory_kib("VmRSS:")
    }

    fn memory_kib(&self, name: &str) -> Result<f64> {
        machine::memory_kib(&self.child.id().to_string(), name)
    }

    /// CPU seconds used so far.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        machine::cpu_seconds(&self.child.id().to_string())
    }

    /// Returns the data that is currently stored.
    pub(crate) fn held(&self) -> Result<Held> {
        let mut answer = ureq::get(format!("{}/api/v1/status", self.url)).call().context("the server does not answer")?;
        let status: Value = answer.body_mut().read_json().context("the answer is JSON")?;
        let numbers = status["processes"].as_object().context("processes are counted by state")?;
        let dropped = status["dropped"].as_array().context("drops are a list")?;
        Ok(Held {
            processes: numbers.values().filter_map(Value::as_u64).sum(),
            dropped: dropped.iter().filter_map(|dropped| dropped["count"].as_u64()).sum(),
            bytes: status["database_bytes"].as_u64().context("bytes are a number")?,
            logged: status["stream_log_bytes"].as_u64().unwrap_or(0),
        })
    }
}

fn spawn(command: &mut Command) -> Result<Child> {
    command.spawn().with_context(|| format!("can't start {}", command.get_program().display()))
}

fn start(
    monitor: &Path,
    folder: &Path,
    listen: &str,
    more: &[&str],
    spawn: impl FnOnce(&mut Command) -> Result<Child>,
) -> Result<(Child, String)> {
    let mut command = cores::command(monitor);
    command.args(["server", "--listen", listen, "--data"]).arg(folder.join("data"));
    // One client is all there are here.
    command.args(["--max-requests-per-second", "1000000"]).args(more);
    // Only log problems.
    command.env("RUST_LOG", "warn").env("MONITOR_SPOOL_DIR", "off").env("MONITOR_AGENT", "off");
    let mut child = spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
    let mut lines = BufReader::new(child.stdout.take().context("piped")?).lines();
    let url = lines.by_ref().map_while(Result::ok).find_map(|line| {
        line.split_whitespace().find_map(|word| word.strip_suffix("/tasks").filter(|url| url.starts_with("http")).map(str::to_owned))
    });
    // Keep reading the output, so that the pipe does not fill up and block the server.
    std::thread::spawn(move || lines.for_each(drop));
    Ok((child, url.context("the server did not start")?))
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
