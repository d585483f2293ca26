//! The two compared sides: our server with programs that use our crates, and Redis with programs that use Celery.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::cores;
use crate::machine;
use crate::server::Server;

const PATIENCE: Duration = Duration::from_mins(1);
const AGAIN: Duration = Duration::from_millis(10);
/// Command that sets the size of the monitor's terminal.
const SCREEN: &str = "stty rows 40 cols 140";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ours,
    Celery,
}

impl Kind {
    pub(crate) const ALL: [Self; 2] = [Self::Ours, Self::Celery];

    /// Its name in the tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Celery => "Celery on Redis",
        }
    }
}

/// The system between senders and receivers. It ends with the measurement.
#[derive(Debug)]
enum Broker {
    Ours(Server),
    Redis { child: Child, port: u16 },
}

#[derive(Debug)]
pub(crate) struct Side {
    broker: Broker,
    monitor: PathBuf,
    python: PathBuf,
    folder: TempDir,
}

/// A program that has reported that it is ready.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Side {
    /// A new one.
    pub(crate) fn start(kind: Kind, monitor: &Path, rivals: &Path) -> Result<Self> {
        let folder = tempfile::tempdir().context("no temporary folder")?;
        let python = std::path::absolute(rivals.join("celery/bin/python"))?;
        let broker = match kind {
            Kind::Ours => Broker::Ours(Server::start_free(monitor)?),
            Kind::Celery => {
                // Another program is unlikely to use the port in the meantime.
                let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
                Broker::Redis { child: redis(port, folder.path())?, port }
            }
        };
        Ok(Self { broker, monitor: monitor.to_owned(), python, folder })
    }

    /// Kills server or broker with SIGKILL, and after `restart` starts it with its stored data at the same address.
    pub(crate) fn kill(&mut self, restart: Duration) -> Result<()> {
        match &mut self.broker {
            Broker::Ours(server) => {
                server.kill()?;
                std::thread::sleep(restart);
                server.restart(&[])
            }
            Broker::Redis { child, port } => {
                child.kill()?;
                child.wait()?;
                std::thread::sleep(restart);
                *child = redis(*port, self.folder.path())?;
                Ok(())
            }
        }
    }

    /// Starts a role, and waits until it is ready.
    pub(crate) fn role(&self, role: &str, numbers: [f64; 2]) -> Result<Running> {
        let mut command = self.command();
        command.arg(role).arg(self.url()).args(numbers.map(|number| number.to_string()));
        Running::start(command)
    }

    /// Starts `count` workers, and waits until all of them respond to a ping.
    pub(crate) fn workers(&self, count: usize) -> Result<Vec<Child>> {
        let mut workers = Vec::new();
        for number in 1..=count {
            let mut command = match &self.broker {
                Broker::Ours(_) => {
                    let mut command = self.command();
                    command.arg("work");
                    command
                }
                Broker::Redis { .. } => {
                    let mut command = self.celery();
                    command.args(["worker", "--pool", "solo", "--without-gossip", "--without-mingle", "--loglevel", "error"]);
                    command.args(["--hostname", &format!("w{number}@%h")]);
                    command
                }
            };
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(self.log()?);
            workers.push(command.spawn().context("a worker starts")?);
        }
        Ok(workers)
    }

    /// Starts the terminal monitor of this side in a pseudo-terminal.
    pub(crate) fn screen(&self) -> Result<Screen> {
        let number = self.folder.path().join("screen");
        let program = match &self.broker {
            Broker::Ours(_) => format!("'{}' top --server '{}'", self.monitor.display(), self.url()),
            Broker::Redis { .. } => format!("'{}' -m celery -A celery_events -b '{}' events", self.python.display(), self.url()),
        };
        let mut command = cores::command("script");
        command.args(["-qfc", &format!("{SCREEN}; echo $$ > '{}'; exec {program}", number.display()), "/dev/null"]);
        command.current_dir(rivals()).env("TERM", "xterm-256color").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(self.log()?);
        let child = command.spawn().context("`script` of util-linux makes a terminal")?;
        let begin = Instant::now();
        let pid = loop {
            if let Ok(pid) = fs::read_to_string(&number).unwrap_or_default().trim().parse::<u32>() {
                break pid;
            }
            ensure!(begin.elapsed() < PATIENCE, "the terminal monitor did not start");
            std::thread::sleep(AGAIN);
        };
        Ok(Screen { child, pid })
    }

    fn url(&self) -> String {
        match &self.broker {
            Broker::Ours(server) => server.url().to_owned(),
            Broker::Redis { port, .. } => format!("redis://127.0.0.1:{port}/0"),
        }
    }

    fn log(&self) -> Result<File> {
        Ok(File::options().create(true).append(true).open(self.folder.path().join("log"))?)
    }

    /// The program of the roles.
    fn command(&self) -> Command {
        match &self.broker {
            Broker::Ours(server) => {
                let own = std::env::current_exe().unwrap_or_else(|_| "monitor-benches".into());
                let mut command = cores::command(own);
                command.arg("events-role").env("MONITOR_ENABLED", "1").env("MONITOR_SERVER_URL", server.url());
                command.env("MONITOR_SPOOL_DIR", server.spool()).env("MONITOR_COMMANDS", "all");
                command
            }
            Broker::Redis { .. } => {
                let mut command = cores::command(&self.python);
                command.arg(rivals().join("celery_events.py"));
                command
            }
        }
    }

    fn celery(&self) -> Command {
        let mut command = cores::command(&self.python);
        command.args(["-m", "celery", "-A", "celery_events", "-b", &self.url()]).current_dir(rivals());
        command
    }
}

/// Starts Redis with a persistent file, as Debian does; events are not stored.
fn redis(port: u16, folder: &Path) -> Result<Child> {
    let mut command = cores::command("redis-server");
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--dir"]).arg(folder);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().context("Redis is missing: apt-get install redis-server")?;
    let begin = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        ensure!(begin.elapsed() < PATIENCE, "Redis did not start");
        std::thread::sleep(AGAIN);
    }
    Ok(child)
}

fn rivals() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("rivals")
}

impl Running {
    fn start(mut command: Command) -> Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("a role starts")?;
        let stdin = child.stdin.take().context("piped")?;
        let stdout = BufReader::new(child.stdout.take().context("piped")?);
        let mut running = Self { child, stdin, stdout };
        let said = running.line()?;
        ensure!(said == "ready", "{command:?} said {said:?}");
        Ok(running)
    }

    /// Sends the start signal, a line, to the waiting program.
    pub(crate) fn begin(&mut self) -> Result<()> {
        Ok(self.stdin.write_all(b"\n")?)
    }

    /// Waits for the result.
    pub(crate) fn end(&mut self) -> Result<Value> {
        let said = self.line()?;
        serde_json::from_str(&said).with_context(|| format!("a role printed a line that is not JSON: {said:?}"))
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        if let Broker::Redis { child, .. } = &mut self.broker {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A terminal with a monitor on it.
#[derive(Debug)]
pub(crate) struct Screen {
    child: Child,
    pid: u32,
}

impl Screen {
    /// CPU seconds used by the monitor so far.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        machine::cpu_seconds(&self.pid.to_string())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Without its terminal the monitor ends.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
