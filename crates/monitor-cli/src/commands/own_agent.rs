//! The agent of the server's own machine: a child in the server's data folder.
//!
//! It outlives a SIGKILL of the server, and fires on. The next server finds it by the lock of its folder. A server that is told to stop ends
//! it; runs go on, and the next agent follows them.

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

/// Its name: tasks that name no agent are for this one.
const NAME: &str = "local";
/// Its folder in the server's data folder.
const FOLDER: &str = "agent";
/// Its log, and the largest one that it goes on with.
const LOG: &str = "log";
const LONGEST_LOG: u64 = 16 << 20;
/// How often it is looked whether it runs.
const LOOK: Duration = Duration::from_secs(1);
/// One that ended at once is started again after two seconds, then four, and after so long at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// It has so long until it runs.
const BEGINNING: Duration = Duration::from_secs(10);
/// It has so long to end.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks whether it has ended.
const MOMENT: Duration = Duration::from_millis(20);

/// Keeps an agent running in a data folder until the server has ended. It runs the commands of the channels in the file `alerts`.
/// It trusts the certificate in the file `certificate`, if the server has one. How it goes is noted as a duty of the server.
pub(crate) async fn keep(data: PathBuf, settings: OfServer, duty: Arc<Duty>, ended: CancellationToken) {
    let Some(local) = Local::find(&data) else {
        tracing::warn!("no agent is started, for the server could not write its own token");
        return;
    };
    // It works there, and is told so.
    let Ok(folder) = std::path::absolute(data.join(FOLDER)).inspect_err(|error| tracing::error!(%error, "no agent can be started")) else {
        return;
    };
    // One that has another server's address is of an earlier start at another port.
    let is_another = |server: &str| server != local.url.as_str();
    if is_running(&folder) && server_of(&folder).is_none_or(|server| is_another(&server)) {
        end(&folder, None).await;
    }
    let (mut child, mut told) = (None::<Child>, None);
    // One that ends again and again is started less and less often.
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

/// What of the server's settings concerns its agent.
#[derive(Debug)]
pub(crate) struct OfServer {
    /// `alerts.toml` as it was last without mistakes.
    pub(crate) alerts: PathBuf,
    /// The file of the server's certificate, if it speaks https.
    pub(crate) certificate: Option<PathBuf>,
}

/// Whether the agent in a folder runs and has reached the server. One that begins may not have its folder yet.
fn standing(folder: &Path, begins: bool) -> Result<(), String> {
    if !is_running(folder) {
        if begins {
            return Ok(());
        }
        return Err(format!("the agent {NAME} doesn't run: its log is {}", folder.join(LOG).display()));
    }
    monitor_agent::disconnected(folder).map_or(Ok(()), |why| Err(format!("the agent {NAME} is not connected: {why}")))
}

/// Starts it. It is in no terminal's foreground: Ctrl-C reaches the server alone.
fn start(folder: &Path, local: &Local, settings: &OfServer) -> io::Result<Child> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let token = folder.join("token");
    let private = |path: &Path| OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path);
    private(&token)?.write_all(local.token.as_bytes())?;
    let mut agent = Command::new(std::env::current_exe()?);
    agent.args(["agent", "--name", NAME, "--server", local.url.as_str(), "--data"]).arg(folder).arg("--token-file").arg(&token);
    agent.arg("--alerts-file").arg(std::path::absolute(&settings.alerts)?);
    match &settings.certificate {
        Some(certificate) => agent.env("MONITOR_SERVER_CERT", std::path::absolute(certificate)?),
        None => agent.env_remove("MONITOR_SERVER_CERT"),
    };
    // Whatever it and its runs leave stays in the data folder.
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

/// The address of the server that the agent in a folder reports to.
fn server_of(folder: &Path) -> Option<String> {
    Database::existing(folder).ok()?.server().ok()?
}

/// Ends the agent in a folder: a child by a signal, any other by asking it.
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
    // Its end is taken note of, so that nothing of it is left.
    if let Some(mut child) = child {
        while matches!(child.try_wait(), Ok(None)) && begun.elapsed() < PATIENCE {
            tokio::time::sleep(MOMENT).await;
        }
    }
    if is_running(folder) {
        tracing::warn!(folder = %folder.display(), "the agent has not ended");
    }
}
