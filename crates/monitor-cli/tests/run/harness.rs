//! A server, and what it knows of the runs that report to it.

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

    /// `monitor`, reporting here, with nothing else from outside.
    pub(crate) fn monitor(&self, args: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("monitor"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MONITOR_")) {
            command.env_remove(name);
        }
        command.args(args).env("MONITOR_SERVER_URL", &self.server.url).env("MONITOR_SPOOL_DIR", self.folder.path().join("spool"));
        // However busy the machine is.
        command.env("MONITOR_EXIT_TIMEOUT", "60s");
        command.env("MONITOR_RUNS_DIR", self.folder.path().join("runs")).env("TZ", "UTC").current_dir(self.folder.path());
        command
    }

    /// `monitor run OPTIONS -- COMMAND`
    pub(crate) fn run(&self, options: &[&str], command: &[&str]) -> Command {
        let mut monitor = self.monitor(&["run"]);
        monitor.args(options).arg("--").args(command);
        monitor
    }

    /// The only tree that there is, when nothing in it runs any more.
    pub(crate) fn tree(&self) -> Vec<Value> {
        wait_for("one finished tree", || {
            let trees = self.trees();
            let [tree] = &trees[..] else { return None };
            tree.iter()
                .all(|process| !["running", "pending", "retrying"].map(Value::from).contains(&process["state"]))
                .then(|| tree.clone())
        })
    }

    /// All trees, oldest first, each in pre-order.
    pub(crate) fn trees(&self) -> Vec<Vec<Value>> {
        let roots = self.get("/roots?limit=1000");
        let mut roots = roots["roots"].as_array().expect("a list").clone();
        // Their numbers say who was heard of first.
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

    /// The one process that a run has recorded.
    pub(crate) fn process(&self) -> Value {
        let tree = self.tree();
        assert_eq!(tree.len(), 1, "{tree:#?}");
        tree[0].clone()
    }
}

/// Whatever is started from here on ends by these signals as ever: whoever started the tests may ignore them, as a shell has it for
/// what runs in its background.
#[allow(unsafe_code, reason = "what a program ignores is inherited")]
fn hear_all_signals() {
    for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGHUP, libc::SIGTERM] {
        // SAFETY: no handler is given.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Runs to the end, with this for its input, and pipes for its output.
pub(crate) fn output(mut command: Command, input: &[u8]) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("piped");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        // It may not want to read it.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("no panic");
    output
}

/// Whether a process of this pid runs, and is no zombie.
pub(crate) fn is_alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// Sends a signal.
pub(crate) fn kill(pid: u32, signal: &str) {
    let sent = Command::new("sh").args(["-c", &format!("kill -{signal} {pid}")]).status().expect("sh");
    assert!(sent.success(), "kill -{signal} {pid}");
}

/// What stands in a file, when there is a whole line.
pub(crate) fn line_of(file: impl AsRef<OsStr>) -> String {
    let file = std::path::PathBuf::from(file.as_ref());
    wait_for(&format!("a line in {}", file.display()), || {
        std::fs::read_to_string(&file).ok().filter(|text| text.ends_with('\n')).map(|text| text.trim().to_owned())
    })
}
