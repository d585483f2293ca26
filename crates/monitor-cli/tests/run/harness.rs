//! Starts a server for a test, runs commands that report to it, and queries the recorded processes.

use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::TestServer;
pub(crate) use crate::support::{PATIENCE, end_of, wait_for};

pub(crate) struct House {
    pub(crate) server: TestServer,
    pub(crate) folder: TempDir,
}

impl House {
    pub(crate) fn new() -> Self {
        hear_all_signals();
        Self { server: TestServer::start(), folder: tempfile::tempdir().expect("a folder") }
    }

    /// Returns `monitor`, reporting to this server, without other settings from the environment.
    pub(crate) fn monitor(&self, args: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("monitor"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MONITOR_")) {
            command.env_remove(name);
        }
        command.args(args).env("MONITOR_SERVER_URL", &self.server.url).env("MONITOR_SPOOL_DIR", self.folder.path().join("spool"));
        // A generous limit for busy machines.
        command.env("MONITOR_EXIT_TIMEOUT", "60s");
        command.env("MONITOR_RUNS_DIR", self.folder.path().join("runs")).env("TZ", "UTC").current_dir(self.folder.path());
        command
    }

    /// Returns `monitor run OPTIONS -- COMMAND`.
    pub(crate) fn run(&self, options: &[&str], command: &[&str]) -> Command {
        let mut monitor = self.monitor(&["run"]);
        monitor.args(options).arg("--").args(command);
        monitor
    }

    /// Waits until the only tree has ended; returns it.
    pub(crate) fn tree(&self) -> Vec<Value> {
        wait_for("one finished tree", || {
            let trees = self.trees();
            let [tree] = &trees[..] else { return None };
            tree.iter()
                .all(|process| !["running", "pending", "retrying"].map(Value::from).contains(&process["state"]))
                .then(|| tree.clone())
        })
    }

    /// Returns all trees, oldest first, each in pre-order.
    pub(crate) fn trees(&self) -> Vec<Vec<Value>> {
        let roots = self.get("/roots?limit=1000");
        let mut roots = roots["roots"].as_array().expect("a list").clone();
        // The server numbers trees in the order of arrival, so sort by start.
        roots.sort_by_key(|root| root["started_us"].as_u64());
        roots
            .iter()
            .map(|root| self.get(&format!("/roots/{}/tree?limit=10000", root["number"]))["processes"].as_array().expect("a list").clone())
            .collect()
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let client = reqwest::Client::builder().no_proxy().build().expect("a client");
            client.get(format!("{}/api/v1{path}", self.server.url)).send().await.expect("an answer").json().await.expect("JSON")
        })
    }

    /// Returns the only process that a run has recorded.
    pub(crate) fn process(&self) -> Value {
        let tree = self.tree();
        assert_eq!(tree.len(), 1, "{tree:#?}");
        tree[0].clone()
    }
}

/// Resets signal dispositions, so that signals end the started commands. The caller of the tests may ignore signals, as a shell does for
/// background jobs, and ignored signals are inherited.
#[allow(unsafe_code, reason = "what a program ignores is inherited")]
fn hear_all_signals() {
    for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGHUP, libc::SIGTERM] {
        // SAFETY: no handler is installed.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Runs a command with this input until it ends; returns its piped output.
pub(crate) fn output(mut command: Command, input: &[u8]) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("piped");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        // The command may not read its input.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("no panic");
    output
}

/// Returns true if a process with this id exists and is not a zombie.
pub(crate) fn is_alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// Sends a signal.
pub(crate) fn kill(pid: u32, signal: &str) {
    let sent = Command::new("sh").args(["-c", &format!("kill -{signal} {pid}")]).status().expect("sh");
    assert!(sent.success(), "kill -{signal} {pid}");
}

/// Waits for a complete line in a file; returns it.
pub(crate) fn line_of(file: impl AsRef<OsStr>) -> String {
    let file = std::path::PathBuf::from(file.as_ref());
    wait_for(&format!("a line in {}", file.display()), || {
        std::fs::read_to_string(&file).ok().filter(|text| text.ends_with('\n')).map(|text| text.trim().to_owned())
    })
}
