//! The agent of the server's own machine, a child process of the server with a folder in the server's data folder.
//!
//! The agent survives a SIGKILL of the server and continues to start tasks. The next server finds it through the lock of its folder. A
//! server that is stopped ends the agent. Runs continue, and the next agent follows them.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use monitor_agent::{Database, Request, is_running};
use monitor_server::Duty;
use monitor_server::access::Local;
use rustix::process::{Pid, Signal, kill_process};
use tokio_util::sync::CancellationToken;

use super::agent_settings::JOB_KEYS;

/// Name of the agent, which runs the tasks that specify no agent.
const NAME: &str = "local";
/// Folder of the agent in the server's data folder.
const FOLDER: &str = "agent";
/// The agent's log file, and the size above which a new one is started.
const LOG: &str = "log";
const LONGEST_LOG: u64 = 16 << 20;
/// Interval of the checks that the agent runs.
const LOOK: Duration = Duration::from_secs(1);
/// Maximum pause before a restart. An agent that ends immediately is restarted after 2 s, 4 s, and so on.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Time for the agent to start.
const BEGINNING: Duration = Duration::from_secs(10);
/// Time for the agent to end.
const PATIENCE: Duration = Duration::from_secs(5);
/// Interval of the checks for the agent's end.
const MOMENT: Duration = Duration::from_millis(20);

/// Keeps an agent running in a data folder until the server has ended. The agent runs the commands of the channels in the file `alerts`,
/// and trusts the certificate in the file `certificate`, if the server has one. Its health is recorded as a duty of the server.
pub(crate) async fn keep(data: PathBuf, settings: OfServer, duty: Arc<Duty>, ended: CancellationToken) {
    let Some(local) = Local::find(&data) else {
        tracing::warn!("no agent is started, for the server could not write its own token");
        return;
    };
    // The agent works in its folder, so the path must be absolute.
    let Ok(folder) = std::path::absolute(data.join(FOLDER)).inspect_err(|error| tracing::error!(%error, "no agent can be started")) else {
        return;
    };
    // An agent with another server address is left from an earlier start on another port.
    let is_another = |server: &str| server != local.url.as_str();
    if is_running(&folder) && server_of(&folder).is_none_or(|server| is_another(&server)) {
        end(&folder, None).await;
    }
    let (mut child, mut told) = (None::<Child>, None);
    // The pause grows if the agent ends again and again.
    let (mut pause, mut started_at) = (LOOK, None::<Instant>);
    loop {
        if let Some(Ok(Some(status))) = child.as_mut().map(Child::try_wait) {
            let lived = started_at.map_or(Duration::ZERO, |at| at.elapsed());
            pause = if lived < LONGEST_PAUSE { (2 * pause).min(LONGEST_PAUSE) } else { LOOK };
            tracing::warn!(%status, ?pause, log = %folder.join(LOG).display(), "the agent has ended: another one is started");
            child = None;
        }
        if child.is_none() && !is_running(&folder) && started_at.is_none_or(|at| at.elapsed() >= pause) {
            match start(&folder, &local, &settings) {
                Ok(started) => {
                    tracing::info!(pid = started.id(), folder = %folder.display(), "started an agent, which runs batch tasks on this machine");
                    (child, started_at) = (Some(started), Some(Instant::now()));
                }
                Err(error) if told.as_ref() != Some(&error.to_string()) => {
                    tracing::error!(%error, folder = %folder.display(), "no agent can be started");
                    told = Some(error.to_string());
                }
                Err(_) => {}
            }
        }
        let begins = started_at.is_some_and(|at| at.elapsed() < BEGINNING);
        duty.ran(standing(&folder, begins), LOOK);
        if ended.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_none() {
            return end(&folder, child).await;
        }
    }
}

/// Settings of the server that the agent needs.
#[derive(Debug)]
pub(crate) struct OfServer {
    /// The copy of `alerts.toml` that had no mistakes.
    pub(crate) alerts: PathBuf,
    /// The server's certificate, if it accepts https.
    pub(crate) certificate: Option<PathBuf>,
}

/// Returns an error unless the agent runs and is connected to the server. During its start, the folder may be missing.
fn standing(folder: &Path, begins: bool) -> Result<(), String> {
    if !is_running(folder) {
        if begins {
            return Ok(());
        }
        return Err(format!("the agent {NAME} doesn't run: its log is {}", folder.join(LOG).display()));
    }
    monitor_agent::disconnected(folder).map_or(Ok(()), |why| Err(format!("the agent {NAME} is not connected: {why}")))
}

/// Starts the agent in a process group of its own, so that Ctrl-C reaches only the server.
fn start(folder: &Path, local: &Local, settings: &OfServer) -> io::Result<Child> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let token = folder.join("token");
    let private = |path: &Path| OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path);
    private(&token)?.write_all(local.token.as_bytes())?;
    let mut agent = Command::new(std::env::current_exe()?);
    agent.args(["agent", "--name", NAME, "--server", local.url.as_str(), "--data"]).arg(folder).arg("--token-file").arg(&token);
    agent.arg("--alerts-file").arg(std::path::absolute(&settings.alerts)?);
    // The server writes its public keys to its data folder.
    agent.arg("--job-keys").arg(folder.with_file_name(JOB_KEYS));
    match &settings.certificate {
        Some(certificate) => agent.env("MONITOR_SERVER_CERT", std::path::absolute(certificate)?),
        None => agent.env_remove("MONITOR_SERVER_CERT"),
    };
    // Spooled records of the agent and its runs stay in the data folder.
    agent.env("MONITOR_SPOOL_DIR", folder.join("spool"));
    for other in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] {
        agent.env_remove(other);
    }
    agent.current_dir(folder).process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log(folder)?).spawn()
}

fn log(folder: &Path) -> io::Result<File> {
    let path = folder.join(LOG);
    if path.metadata().is_ok_and(|log| log.len() > LONGEST_LOG) {
        fs::rename(&path, folder.join("log.old"))?;
    }
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// The address of the server that the agent in a folder uses.
fn server_of(folder: &Path) -> Option<String> {
    Database::existing(folder).ok()?.server().ok()?
}

/// Ends the agent in a folder: with a signal if it is a child, or else with a request.
async fn end(folder: &Path, child: Option<Child>) {
    let begun = Instant::now();
    let is_told = match &child {
        Some(child) => i32::try_from(child.id()).ok().and_then(Pid::from_raw).is_some_and(|pid| kill_process(pid, Signal::TERM).is_ok()),
        None => Database::existing(folder)
            .and_then(|mut database| database.ask("the server", &Request::Stop, Timestamp::now() + PATIENCE))
            .is_ok(),
    };
    while is_told && is_running(folder) && begun.elapsed() < PATIENCE {
        tokio::time::sleep(MOMENT).await;
    }
    // Waits for the child, so that no zombie is left.
    if let Some(mut child) = child {
        while matches!(child.try_wait(), Ok(None)) && begun.elapsed() < PATIENCE {
            tokio::time::sleep(MOMENT).await;
        }
    }
    if is_running(folder) {
        tracing::warn!(folder = %folder.display(), "the agent has not ended");
    }
}
