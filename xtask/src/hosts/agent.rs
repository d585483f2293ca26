//! The real agents in their namespaces.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Result, bail};

use super::{COUNT, Controller, Running, inside, name, namespace, wait_for};

/// Maximum time until all agents are online.
const ONLINE: Duration = Duration::from_secs(120);

/// `monitor agent` of a host, with a folder that remains when it is killed.
pub(crate) struct Agent {
    monitor: PathBuf,
    place: usize,
    folder: PathBuf,
    /// Additional variables of the agent's environment.
    env: Vec<(String, String)>,
    child: Option<Running>,
}

impl Agent {
    /// Joins the server, and starts the agent.
    fn join(controller: &Controller, folder: PathBuf, place: usize, token: &str, env: Vec<(String, String)>) -> Result<Self> {
        fs::create_dir_all(&folder)?;
        let mut agent = Self { monitor: controller.program().to_owned(), place, folder, env, child: None };
        let mut join = inside(&namespace(place), &agent.monitor);
        join.args(["agent", "join", &Controller::url(), "--config"]).arg(agent.config()).arg("--data").arg(agent.folder.join("data"));
        let mut child = join.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(token.as_bytes())?;
        }
        let done = child.wait_with_output()?;
        if !done.status.success() {
            bail!("{} can't join the server: {}", name(place), String::from_utf8_lossy(&done.stderr).trim());
        }
        let mut config = fs::File::options().append(true).open(agent.config())?;
        // The agent runs as root, which its rules must permit.
        writeln!(config, "\n[jobs]\naccounts = [\"root\"]")?;
        agent.start()?;
        Ok(agent)
    }

    fn config(&self) -> PathBuf {
        self.folder.join("agent.toml")
    }

    /// Starts the agent on its folder, if it is not running.
    pub(crate) fn start(&mut self) -> Result<()> {
        if self.child.as_mut().is_some_and(Running::is_alive) {
            return Ok(());
        }
        let mut agent = inside(&namespace(self.place), &self.monitor);
        agent.args(["agent", "--config"]).arg(self.config());
        agent.env("MONITOR_SPOOL_DIR", "off").env("XDG_STATE_HOME", &self.folder).envs(self.env.iter().cloned());
        self.child = Some(Running::start(&mut agent, &self.folder.join("agent.log"))?);
        Ok(())
    }

    /// True if the agent was started, and has not ended.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.as_mut().is_some_and(Running::is_alive)
    }

    /// Kills the agent by SIGKILL. Its scripts continue.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill();
        }
    }
}

/// Starts the agents of all hosts, and waits until they are online. `env` returns additional variables of an agent.
pub(crate) fn start_all(
    controller: &Controller,
    folder: &Path,
    tokens: &[String],
    env: impl Fn(usize) -> Vec<(String, String)>,
) -> Result<Vec<Agent>> {
    let join = |(place, token): (usize, &String)| Agent::join(controller, folder.join(name(place)), place, token, env(place));
    let agents = tokens.iter().enumerate().map(join).collect::<Result<Vec<_>>>()?;
    wait_for("all agents are online", ONLINE, || Ok((controller.online()? == COUNT).then_some(())))?;
    Ok(agents)
}
