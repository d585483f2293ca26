//! The report, the summary and the annotations of a command. The program `monitor` writes them when the command has ended.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use monitor_api::Settings;
use tempfile::TempDir;

use crate::launch::{LAUNCHES, NOWHERE};

/// Maximum time until the server accepts a connection.
const PATIENCE: Duration = Duration::from_secs(2);

/// Options of `cargo monitor`, before those of cargo.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Write the runs as one HTML file when the command has ended; it opens in any browser. This needs no server, but the program `monitor`
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Append a summary in Markdown to FILE; `off` writes none [default: the file of `GITHUB_STEP_SUMMARY`, unless this is part of another run]
    #[arg(long, value_name = "FILE")]
    summary: Option<OsString>,
}

/// Returns true for one of these options, which cargo does not have.
pub(crate) fn is_option(word: &str) -> bool {
    ["--report", "--summary"].contains(&word.split('=').next().unwrap_or(word))
}

/// Input of `monitor after-run`, which writes the report, summary and annotations when the command has ended.
#[derive(Debug)]
pub(crate) struct Conclusion {
    monitor: PathBuf,
    report: Option<PathBuf>,
    summary: Option<OsString>,
    /// Contains the spool if no server is reached, and a file for each launched program.
    folder: TempDir,
    has_spool: bool,
}

impl Conclusion {
    /// Prepares the conclusion; returns `None` if none is wanted. Without the program `monitor`, it calls `note` if there is no report to write.
    ///
    /// # Errors
    /// When the report can't be written to its file, or the program `monitor` is missing.
    pub(crate) fn begin(Options { report, summary }: &Options, note: impl FnOnce(&str)) -> anyhow::Result<Option<Self>> {
        let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_off = summary.as_ref().is_some_and(|file| file == "off");
        // If this is part of another run, that run's conclusion includes it.
        let is_nested = is_set("MONITOR_ROOT_ID") && is_set("MONITOR_PARENT_ID");
        let has_summary = !is_off && (summary.is_some() || is_set("GITHUB_STEP_SUMMARY") && !is_nested);
        let has_annotations = !is_nested && env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true");
        if report.is_none() && !has_summary && !has_annotations {
            return Ok(None);
        }
        let report = report.as_ref().map(std::path::absolute).transpose()?;
        if let Some(file) = &report {
            let has_folder = file.parent().is_some_and(Path::is_dir);
            ensure!(has_folder && !file.is_dir(), "--report {}: there is no folder for the file", file.display());
        }
        let Some(monitor) = monitor() else {
            let missing = "it needs the program `monitor` on Linux, next to cargo-monitor or in a folder of PATH (`cargo install --path crates/monitor-cli`)";
            ensure!(report.is_none(), "--report: {missing}");
            note(&format!("no summary is written: {missing}"));
            return Ok(None);
        };
        let folder = TempDir::with_prefix("monitor-run-").context("could not make a temporary folder")?;
        fs::create_dir(folder.path().join("launches"))?;
        let has_spool = report.is_some() && !is_reached(&Settings::from_env()?);
        Ok(Some(Self { monitor, report, summary: summary.clone(), folder, has_spool }))
    }

    /// Returns true if programs record into a temporary folder, because the server can't be reached.
    pub(crate) fn has_spool(&self) -> bool {
        self.has_spool
    }

    /// Sets the environment variables that determine where the launched programs record.
    pub(crate) fn prepare(&self, cargo: &mut Command) {
        cargo.env(LAUNCHES, self.folder.path().join("launches"));
        if self.has_spool {
            cargo.env("MONITOR_SERVER_URL", NOWHERE).env("MONITOR_SPOOL_DIR", self.folder.path().join("spool"));
        }
    }

    /// Writes the conclusion in place of this program, and exits with `code`. Returns if the other program can't be executed.
    pub(crate) fn end(self, name: &str, status: ExitStatus, code: u8) -> io::Error {
        let outcome = status.code().map_or_else(|| status.to_string(), |code| format!("exit code {code}"));
        let mut monitor = Command::new(self.monitor);
        monitor.args(["after-run", "--is-cargo", "--name", name, "--outcome", &outcome, "--exit-code", &code.to_string()]);
        monitor.args(status.success().then_some("--is-success"));
        monitor.args(self.report.map(|file| [OsString::from("--output"), file.into()]).into_iter().flatten());
        monitor.args(self.summary.map(|file| [OsString::from("--summary"), file]).into_iter().flatten());
        monitor.arg("--folder").arg(self.folder.keep());
        replace_by(monitor)
    }
}

#[cfg(unix)]
fn replace_by(mut program: Command) -> io::Error {
    std::os::unix::process::CommandExt::exec(&mut program)
}

#[cfg(not(unix))]
fn replace_by(_: Command) -> io::Error {
    io::ErrorKind::Unsupported.into()
}

/// Runs cargo to its end, which a signal to this program does not change.
///
/// # Errors
/// When cargo can't be started.
#[cfg(unix)]
pub(crate) fn run(cargo: Command) -> io::Result<ExitStatus> {
    use std::fs::File;

    use rustix::process::{Pid, Signal, kill_process};
    use tokio::signal::unix::{SignalKind, signal};

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let mut cargo = tokio::process::Command::from(cargo).spawn()?;
        loop {
            let received = tokio::select! {
                status = cargo.wait() => return status,
                _ = interrupt.recv() => Signal::INT,
                _ = terminate.recv() => Signal::TERM,
            };
            // Ctrl-C in a terminal reaches all of its programs.
            let is_shared = received == Signal::INT && File::open("/dev/tty").is_ok();
            if let Some(cargo) = cargo.id().and_then(|id| Pid::from_raw(id.cast_signed())).filter(|_| !is_shared) {
                let _ = kill_process(cargo, received);
            }
        }
    })
}

#[cfg(not(unix))]
pub(crate) fn run(mut cargo: Command) -> io::Result<ExitStatus> {
    cargo.status()
}

/// Finds the program `monitor`, next to this program or as a command.
fn monitor() -> Option<PathBuf> {
    let own = env::current_exe().ok().map(|own| own.with_file_name("monitor"));
    let path = env::var_os("PATH").unwrap_or_default();
    let commands = env::split_paths(&path).map(|folder| folder.join("monitor"));
    own.into_iter().chain(commands).find(|program| program.is_file()).filter(|_| cfg!(target_os = "linux"))
}

/// Returns true if the server's address accepts a connection.
fn is_reached(settings: &Settings) -> bool {
    let url = settings.url();
    let address = url.host_str().zip(url.port_or_known_default());
    let addresses = address.and_then(|(host, port)| (host.trim_matches(['[', ']']), port).to_socket_addrs().ok());
    addresses.into_iter().flatten().any(|address| TcpStream::connect_timeout(&address, PATIENCE).is_ok())
}
