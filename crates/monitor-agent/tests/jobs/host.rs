//! An agent with its own folder, as a process.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use monitor_wire::{HostStatus, JobOrder, JobReportEvent, JobRunKey, Language};
use tempfile::TempDir;

use crate::server::Server;

/// Name of the agent.
pub(crate) const NAME: &str = "db-1";
/// Maximum time to wait for a condition.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `ask` returns a value.
pub(crate) fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// An agent and the server that it gets orders from.
pub(crate) struct Host {
    pub(crate) server: Server,
    child: Option<Child>,
    folder: TempDir,
}

impl Host {
    /// Starts an agent that trusts the server, with these lines in `[jobs]`.
    pub(crate) fn start(rules: &str) -> Self {
        let mut host = Self { server: Server::start(), child: None, folder: tempfile::tempdir().unwrap() };
        fs::create_dir(host.path("data")).unwrap();
        host.trust(&host.server.key());
        // Root must be listed, if the tests run as root.
        let accounts = if rules.contains("accounts") { String::new() } else { format!("accounts = [{:?}, \"nobody\"]\n", own_name()) };
        fs::write(host.path("agent.toml"), format!("[jobs]\n{accounts}{rules}\n")).unwrap();
        host.start_again();
        host
    }

    pub(crate) fn trust(&self, key: &str) {
        fs::write(self.path("data/job-keys"), format!("{key}\n")).unwrap();
    }

    pub(crate) fn start_again(&mut self) {
        let log = File::options().create(true).append(true).open(self.path("log")).unwrap();
        let mut agent = self.command(&["agent", "--name", NAME, "--server", &format!("http://{}", self.server.address), "--config"]);
        agent.arg(self.path("agent.toml")).arg("--data").arg(self.path("data"));
        agent.env("AGENTS_SECRET", "open-sesame").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.child = Some(agent.spawn().unwrap());
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(monitor());
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MONITOR_")) {
            command.env_remove(name);
        }
        command.args(args).env("MONITOR_SPOOL_DIR", self.path("spool")).env("MONITOR_RUNS_DIR", self.path("data/runs"));
        command
    }

    /// Sends SIGKILL to the agent.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().and_then(|()| child.wait()).unwrap();
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Lines that scripts have written to a file.
    pub(crate) fn lines(&self, name: &str) -> usize {
        fs::read_to_string(self.path(name)).unwrap_or_default().lines().count()
    }

    /// Offers an order, and returns its end.
    pub(crate) fn run(&self, order: &JobOrder) -> End {
        self.server.offer(order);
        self.ended(order.key)
    }

    /// Waits for the end of a run.
    pub(crate) fn ended(&self, key: JobRunKey) -> End {
        wait_for("the end of a run", || self.server.events(key).into_iter().find_map(End::of))
    }

    /// Folder of a run.
    pub(crate) fn run_folder(&self, key: JobRunKey) -> PathBuf {
        self.path("data/runs").join(key.run_id())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.kill();
        for entry in fs::read_dir(self.path("data/runs")).into_iter().flatten().flatten() {
            if !entry.path().join("outcome.json").exists() {
                let _ = self.command(&["runs", "kill", "--now"]).arg(entry.file_name()).output();
            }
        }
        if std::thread::panicking() {
            eprint!("{}", self.log());
        }
    }
}

/// The reported end of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) status: HostStatus,
    pub(crate) exit_code: Option<i32>,
    pub(crate) reason: String,
    pub(crate) tag: Option<String>,
    pub(crate) output_bytes: u64,
    pub(crate) omitted_bytes: u64,
}

impl End {
    fn of(event: JobReportEvent) -> Option<Self> {
        let JobReportEvent::Ended { status, exit_code, reason, tag, output_bytes, omitted_bytes } = event else { return None };
        Some(Self { status, exit_code, reason: reason.unwrap_or_default(), tag, output_bytes, omitted_bytes })
    }
}

/// Returns an order with a new key.
pub(crate) fn order(script: &str) -> JobOrder {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let job = NEXT.fetch_add(1, Ordering::Relaxed);
    let now_us = monitor_runs::now_us();
    JobOrder {
        key: JobRunKey { job, step: 10 * job, host: 7, attempt: 1 },
        agent: NAME.to_owned(),
        name: "check".to_owned(),
        script: script.to_owned(),
        language: Language::Shell,
        args: Vec::new(),
        env: [].into(),
        secrets: [].into(),
        is_param_sensitive: false,
        account: None,
        timeout_s: 60,
        output_bytes: 1 << 20,
        root_id: "0123456789abcdef0123456789abcdef".to_owned(),
        process_id: "0123456789abcdef".to_owned(),
        by: "ada".to_owned(),
        issued_us: now_us,
        expires_us: now_us + 3_600_000_000,
        since: 1,
    }
}

pub(crate) fn own_name() -> String {
    nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name
}

/// The program `monitor`, which `cargo test --workspace` has built. A test that runs alone builds it.
fn monitor() -> &'static Path {
    static MONITOR: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    MONITOR.get_or_init(|| {
        if std::env::var_os("MONITOR_TESTS_ARE_BUILT").is_none() {
            let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
            let built = Command::new(cargo).args(["build", "--quiet", "-p", "monitor-cli"]).status();
            assert!(built.unwrap().success(), "monitor can't be built");
        }
        std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("monitor")
    })
}
