//! The real server in its namespace, and commands to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{CONTROL, Running, SERVER, inside, wait_for};

const PORT: u16 = 60_010;
/// Maximum time of a start.
const START: Duration = Duration::from_secs(60);

/// `monitor server` on the bridge, with a data folder that remains when it is killed.
pub(crate) struct Controller {
    monitor: PathBuf,
    folder: PathBuf,
    /// Token of scope admin.
    token: String,
    child: Option<Running>,
}

impl Controller {
    /// Creates the tokens in an empty data folder, and starts the server. Returns it with a token for each of `agents`.
    pub(crate) fn start(monitor: &Path, folder: &Path, agents: &[String]) -> Result<(Self, Vec<String>)> {
        let mut controller = Self { monitor: monitor.to_owned(), folder: folder.to_owned(), token: String::new(), child: None };
        fs::create_dir_all(controller.data())?;
        let token = controller.create_token("xtask", "admin")?;
        token.trim().clone_into(&mut controller.token);
        let tokens = agents.iter().map(|name| controller.create_token(name, "agent")).collect::<Result<_>>()?;
        controller.start_again()?;
        Ok((controller, tokens))
    }

    /// Base URL of the server.
    pub(crate) fn url() -> String {
        format!("http://{SERVER}:{PORT}")
    }

    /// The program `monitor`.
    pub(crate) fn program(&self) -> &Path {
        &self.monitor
    }

    fn data(&self) -> PathBuf {
        self.folder.join("server")
    }

    fn create_token(&self, name: &str, scope: &str) -> Result<String> {
        let mut create = inside(CONTROL, &self.monitor);
        let output = create.args(["token", "create", name, "--scope", scope, "--data"]).arg(self.data()).output()?;
        if !output.status.success() {
            bail!("no token for {name}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Starts the server on its data folder, and waits until it answers.
    pub(crate) fn start_again(&mut self) -> Result<()> {
        let log = self.folder.join("server.log");
        let mut server = inside(CONTROL, &self.monitor);
        server.args(["server", "--listen", &format!("{SERVER}:{PORT}"), "--agent", "off", "--data"]).arg(self.data());
        let mut child = Running::start(&mut server, &log)?;
        let mut last = String::new();
        let answer = wait_for("the start of the server", START, || {
            if !child.is_alive() {
                bail!("the server did not start: see {}", log.display());
            }
            Ok(self.json(&["job", "list", "--limit", "1"]).map_err(|error| last = error.to_string()).ok())
        });
        answer.with_context(|| format!("the last answer was: {last}"))?;
        self.child = Some(child);
        Ok(())
    }

    /// Kills the server by SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill();
        }
    }

    /// True if the server was started, and has not ended.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.as_mut().is_some_and(Running::is_alive)
    }

    /// Returns a command of `monitor` for this server.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = inside(CONTROL, &self.monitor);
        command.args(args).env("MONITOR_SERVER_URL", Self::url()).env("MONITOR_TOKEN", &self.token);
        command
    }

    /// Runs a command of `monitor` with `--json`, and returns its answer.
    pub(crate) fn json(&self, args: &[&str]) -> Result<Value> {
        let output = self.command(args).arg("--json").output()?;
        if !output.status.success() {
            bail!("monitor {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        serde_json::from_slice(&output.stdout).with_context(|| format!("monitor {}: its output is not JSON", args.join(" ")))
    }

    /// Returns the number of hosts that are online.
    pub(crate) fn online(&self) -> Result<usize> {
        let hosts = self.json(&["host", "list"])?;
        Ok(hosts["hosts"].as_array().into_iter().flatten().filter(|host| host["is_online"] == true).count())
    }
}
