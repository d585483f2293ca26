//! Starts a server process for each test, and provides helpers for requests.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use assert_cmd::cargo::cargo_bin_cmd;
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const ROOT: &str = "0199a3ce929d0e0e47360199a3ce929d";

/// Maximum wait for any condition, for busy machines.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Polls until `ask` returns a value.
pub(crate) fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits for the end of a child process.
pub(crate) fn end_of(child: &mut Child) -> ExitStatus {
    wait_for("a child to end", || child.try_wait().expect("a child"))
}

/// Returns the command `monitor` without settings from the environment.
pub(crate) fn monitor(args: &[&str]) -> assert_cmd::Command {
    let mut command = cargo_bin_cmd!("monitor");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MONITOR_")) {
        command.env_remove(name);
    }
    command.args(args).env("TZ", "UTC").env_remove("RUST_LOG");
    // Tests don't need the agent that a server starts.
    if args.first() == Some(&"server") && !args.contains(&"--print-settings") {
        command.env("MONITOR_AGENT", "off");
    }
    command
}

pub(crate) struct TestServer {
    pub(crate) child: Child,
    pub(crate) url: String,
    pub(crate) data: TempDir,
}

impl TestServer {
    pub(crate) fn start() -> Self {
        Self::on(tempfile::tempdir().expect("a folder"))
    }

    pub(crate) fn on(data: TempDir) -> Self {
        Self::with(&["--listen", "127.0.0.1:0"], data)
    }

    pub(crate) fn with(args: &[&str], data: TempDir) -> Self {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("monitor"));
        command.arg("server").args(args).arg("--data").arg(data.path()).env("RUST_LOG", "warn");
        // Ignore spools of the user's other programs.
        command.env("MONITOR_SPOOL_DIR", "off").env("MONITOR_AGENT", "off");
        Self::of(command.stdout(Stdio::piped()).spawn().expect("a server"), data)
    }

    /// Wraps a started server whose output is piped.
    pub(crate) fn of(mut child: Child, data: TempDir) -> Self {
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let url = line.strip_prefix("listening on ").and_then(|url| url.strip_suffix("/tasks\n"));
        Self { url: url.unwrap_or_else(|| panic!("{line:?}")).to_owned(), child, data }
    }

    /// Kills the server; returns its data folder.
    pub(crate) fn stop(mut self) -> TempDir {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
        std::mem::replace(&mut self.data, tempfile::tempdir().expect("a folder"))
    }

    /// Runs a command with this server; returns its stdout.
    pub(crate) fn run(&self, args: &[&str]) -> String {
        let output = monitor(args).args(["--server", &self.url]).assert().success().get_output().stdout.clone();
        String::from_utf8(output).expect("UTF-8")
    }

    /// Returns the JSON that a command prints with `--json`.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.run(&[args, &["--json"]].concat())).expect("JSON")
    }

    /// Returns the server's metrics.
    pub(crate) fn metrics(&self) -> String {
        ask(async |client| client.get(format!("{}/metrics", self.url)).send().await?.text().await)
    }

    /// Sends a DELETE request, which must succeed.
    pub(crate) fn delete(&self, path: &str, token: &str) {
        ask(async |client| client.delete(format!("{}{path}", self.url)).bearer_auth(token).send().await?.error_for_status());
    }

    /// Sends events as the default worker, numbered from `sequence`.
    pub(crate) fn send(&self, sequence: u64, events: &[Value]) {
        self.send_as(0x5b0c_0000_0000_0000_0000_0000_0000_0001, sequence, events);
    }

    /// Sends events as the worker `worker`, numbered from `sequence`.
    pub(crate) fn send_as(&self, worker: u128, sequence: u64, events: &[Value]) {
        let batch = json!({
            "version": 1,
            "worker": {"id": format!("{worker:032x}"), "hostname": "build-7", "pid": 4121, "program": "nightly"},
            "sequence": sequence, "sent_us": 1_763_600_003_200_000_u64, "events": events,
        });
        ask(async |client| client.post(format!("{}/api/v1/events", self.url)).json(&batch).send().await?.error_for_status());
    }
}

/// Sends a request that must succeed; returns the result.
pub(crate) fn ask<T>(request: impl AsyncFnOnce(reqwest::Client) -> reqwest::Result<T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    runtime.block_on(request(client)).expect("taken")
}

impl Drop for TestServer {
    fn drop(&mut self) {
        // The test may have ended it already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn started(root: &str, id: u64, parent: Option<u64>, name: &str) -> Value {
    json!({
        "type": "process-started", "root_id": root, "id": format!("{id:016x}"), "parent_id": parent.map(|id| format!("{id:016x}")),
        "kind": "normal", "name": name, "time_us": 1_763_600_000_000_000 + id,
    })
}

pub(crate) fn ended(root: &str, id: u64, elapsed_ns: u64, error: Option<&str>) -> Value {
    json!({
        "type": "process-ended", "root_id": root, "id": format!("{id:016x}"), "time_us": 1_763_600_004_000_000_u64, "elapsed_ns": elapsed_ns,
        "outcome": if error.is_some() { "failed" } else { "succeeded" },
        "error": error.map(|message| json!({"kind": "error", "message": message})),
    })
}
