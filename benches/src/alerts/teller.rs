//! The measured alert senders: our server, and Debian's Alertmanager.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::receiver::Receiver;
use crate::cores;
use crate::ingest::http::{Connection, request};
use crate::machine;
use crate::server::Server;

/// Longest time until one takes alerts after its start.
const PATIENCE: Duration = Duration::from_secs(30);
/// Interval between two attempts to send an alert while the sender is down.
const AGAIN: Duration = Duration::from_millis(5);
/// Interval between messages of a group, for both; Alertmanager's default is five minutes.
const GROUP_INTERVAL: &str = "30s";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `monitor server`: alerts are failed runs of tasks.
    Ours,
    Alertmanager,
}

impl Kind {
    pub(crate) const ALL: [Self; 2] = [Self::Ours, Self::Alertmanager];

    /// Its name in the tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Alertmanager => "Alertmanager",
        }
    }
}

/// An alert.
#[derive(Debug, Clone)]
pub(crate) struct Alert {
    pub(crate) number: u64,
    /// Name of the object.
    pub(crate) name: String,
    /// Alerts with the same text are grouped.
    pub(crate) words: String,
}

impl Alert {
    /// The `number`th alert, of the `cause`th cause.
    pub(crate) fn new(number: u64, cause: u64) -> Self {
        Self { number, name: format!("task-{number}"), words: format!("no {}", letters(cause)) }
    }
}

/// A number as letters: numbers within words make no difference to ours.
fn letters(number: u64) -> String {
    number.to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')).collect()
}

/// Address for alerts; it stays the same when the sender is killed and restarted.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    kind: Kind,
    /// `None` while it is down.
    at: Arc<Mutex<Option<String>>>,
}

/// A running alert sender. It ends with the measurement.
#[derive(Debug)]
pub(crate) struct Teller {
    address: Address,
    monitor: PathBuf,
    /// The folder of its package.
    alertmanager: PathBuf,
    server: Option<Server>,
    child: Option<Child>,
    folder: TempDir,
}

impl Teller {
    /// Starts a sender with this receiver.
    pub(crate) fn start(kind: Kind, receiver: &Receiver, monitor: &Path, rivals: &Path) -> Result<Self> {
        let folder = tempfile::tempdir().context("no temporary folder")?;
        let url = receiver.url();
        let hook = format!("[channel.hook]\nkind = \"webhook\"\nurl = \"{url}\"\nprivate = true\nrate = 1000000\n");
        fs::write(folder.path().join("alerts.toml"), hook)?;
        let route = format!("{{receiver: hook, group_by: [alertname], group_wait: 0s, group_interval: {GROUP_INTERVAL}}}");
        let receivers = format!("[{{name: hook, webhook_configs: [{{url: \"{url}\"}}]}}]");
        fs::write(folder.path().join("alertmanager.yml"), format!("route: {route}\nreceivers: {receivers}\n"))?;
        let alertmanager = std::path::absolute(rivals.join("alertmanager"))?;
        let address = Address { kind, at: Arc::default() };
        let mut teller = Self { address, monitor: monitor.to_owned(), alertmanager, server: None, child: None, folder };
        teller.start_again()?;
        Ok(teller)
    }

    pub(crate) fn address(&self) -> Address {
        self.address.clone()
    }

    /// Kills it, as SIGKILL does.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.address.set(None);
        match (&mut self.server, &mut self.child) {
            (Some(server), _) => server.kill(),
            (_, Some(child)) => {
                child.kill()?;
                child.wait()?;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Starts it with its stored data, and waits until it accepts alerts.
    pub(crate) fn start_again(&mut self) -> Result<()> {
        let address = match self.address.kind {
            Kind::Ours => {
                let file = self.folder.path().join("alerts.toml");
                let more = ["--alerts-file", file.to_str().context("a path of letters")?];
                match &mut self.server {
                    Some(server) => server.restart(&more)?,
                    None => self.server = Some(Server::start_with(&self.monitor, &more)?),
                }
                self.server.as_ref().map(|server| server.address().to_owned())
            }
            Kind::Alertmanager => Some(self.start_theirs()?),
        };
        self.address.set(address);
        Ok(())
    }

    fn start_theirs(&mut self) -> Result<String> {
        // Another program is unlikely to use the port in the meantime.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let mut command = cores::command("unshare");
        command.args(["--map-root-user", "--mount", "sh", concat!(env!("CARGO_MANIFEST_DIR"), "/rivals/alertmanager.sh")]);
        command.arg(&self.alertmanager).arg("--config.file").arg(self.folder.path().join("alertmanager.yml"));
        command.arg("--storage.path").arg(self.folder.path().join("theirs"));
        command.args(["--web.listen-address", &address, "--cluster.listen-address="]);
        let log = File::options().create(true).append(true).open(self.folder.path().join("log"))?;
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        self.child = Some(child.context("can't start Alertmanager")?);
        let begin = Instant::now();
        let is_ready = || Connection::open(&address)?.get("/-/ready");
        while is_ready().is_err() {
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            ensure!(begin.elapsed() < PATIENCE, "Alertmanager did not start: {}", log());
            std::thread::sleep(AGAIN);
        }
        Ok(address)
    }

    fn pid(&self) -> Result<String> {
        let own = || self.child.as_ref().map(Child::id);
        Ok(self.server.as_ref().map(Server::pid).or_else(own).context("it runs")?.to_string())
    }

    /// CPU seconds used so far.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        machine::cpu_seconds(&self.pid()?)
    }

    /// Peak memory so far, in MiB.
    pub(crate) fn peak_mib(&self) -> Result<f64> {
        Ok(machine::memory_kib(&self.pid()?, "VmHWM:")? / 1024.0)
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Address {
    fn set(&self, address: Option<String>) {
        *self.at.lock().unwrap_or_else(PoisonError::into_inner) = address;
    }

    fn now(&self) -> Option<String> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends alerts over this connection, again and again until they are acknowledged. Returns when that was.
    pub(crate) fn send(&self, connection: &mut Option<Connection>, alerts: &[Alert]) -> Result<Instant> {
        let begin = Instant::now();
        loop {
            if let Some(address) = self.now() {
                let request = self.request(&address, alerts);
                if connection.is_none() {
                    *connection = Connection::open(&address).ok();
                }
                match connection.as_mut().map(|connection| connection.ask(&request)) {
                    Some(Ok(answer)) if answer.status == 200 => return Ok(Instant::now()),
                    Some(Ok(answer)) if ![429, 503].contains(&answer.status) => {
                        anyhow::bail!("{}: {}", answer.status, String::from_utf8_lossy(&answer.body));
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => *connection = None,
                }
            }
            ensure!(begin.elapsed() < PATIENCE, "{} takes no alert any more", self.kind.name());
            std::thread::sleep(AGAIN);
        }
    }

    fn request(&self, address: &str, alerts: &[Alert]) -> Vec<u8> {
        let now_us = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_micros() as u64);
        match self.kind {
            Kind::Ours => {
                let events: Vec<_> = alerts.iter().flat_map(|alert| failed_run(alert, now_us)).collect();
                let worker = json!({"id": "5b0c000000000000000000000000a001", "hostname": "db-1", "pid": 1, "program": "bench"});
                // Two events per alert: repeated alerts have the same event numbers, so they count once.
                let sequence = 2 * alerts.first().map_or(0, |alert| alert.number) + 1;
                let batch = json!({"version": 1, "worker": worker, "sequence": sequence, "sent_us": now_us, "events": events});
                request(address, "/api/v1/events", "", &batch)
            }
            Kind::Alertmanager => {
                let labels = |alert: &Alert| json!({"labels": {"alertname": alert.words, "instance": alert.name}});
                request(address, "/api/v2/alerts", "", &Value::Array(alerts.iter().map(labels).collect()))
            }
        }
    }
}

/// A run of a batch task, which fails.
fn failed_run(alert: &Alert, now_us: u64) -> [Value; 2] {
    let Alert { number, name, words } = alert;
    let (root, id) = (format!("019f{number:028x}"), format!("{:016x}", number + 1));
    let native = format!("{name}@{number}.1");
    let fields = json!({"task.name": name, "task.version": 1, "task.due_us": now_us, "task.trigger": "time", "task.agent": "db-1", "task.run": native});
    let error = json!({"kind": "exit", "message": words});
    [
        json!({"type": "process-started", "root_id": root, "id": id, "native_id": native, "time_us": now_us, "kind": "run", "name": name,
            "fields": fields}),
        json!({"type": "process-ended", "root_id": root, "id": id, "native_id": native, "time_us": now_us + 9, "elapsed_ns": 9_000,
            "outcome": "failed", "exit_code": 1, "reason": "exited", "error": error}),
    ]
}
