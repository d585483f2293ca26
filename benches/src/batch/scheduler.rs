//! The measured schedulers, ours and others, which start the same commands at the same times.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rusqlite::{Connection, OpenFlags};
use serde_json::json;
use tempfile::TempDir;

use super::marks::{Marks, Task};
use crate::cores;
use crate::machine::memory_kib;
use crate::server::Server;

/// Maximum time for the start of a scheduler.
const PATIENCE: Duration = Duration::from_mins(2);
/// Cron does not report when it is ready; after this time it has read its tables.
const CRONS_START: Duration = Duration::from_secs(2);
/// Maximum number of lines in a file for cron.
const CRONS_LINES: usize = 500;

/// The measured schedulers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `monitor agent` with the tasks of a server.
    Ours,
    /// `monitor agent` with the tasks of a folder of files, and the same server.
    OurFiles,
    Node,
    Python,
    /// It knows no seconds.
    Cron,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] = [Self::Ours, Self::OurFiles, Self::Node, Self::Python, Self::Cron];

    /// Its name in the tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::OurFiles => "ours, tasks in files",
            Self::Node => "node-schedule + spawn",
            Self::Python => "APScheduler",
            Self::Cron => "cron",
        }
    }

    pub(crate) fn is_ours(self) -> bool {
        matches!(self, Self::Ours | Self::OurFiles)
    }
}

/// A scheduler with a folder of its own. It ends with the measurement.
#[derive(Debug)]
pub(crate) struct Scheduler {
    kind: Kind,
    tasks: usize,
    rivals: PathBuf,
    monitor: PathBuf,
    marks: Marks,
    /// Ours alone has one.
    server: Option<Server>,
    child: Option<Child>,
    folder: TempDir,
}

impl Scheduler {
    /// One with these tasks, started and ready.
    pub(crate) fn start(kind: Kind, tasks: &[Task], monitor: &Path, rivals: &Path) -> Result<Self> {
        let folder = tempfile::tempdir().context("no temporary folder")?;
        let server = kind.is_ours().then(|| Server::start_free(monitor)).transpose()?;
        let marks = Marks::new(folder.path())?;
        let (monitor, rivals) = (monitor.to_owned(), std::path::absolute(rivals)?);
        let mut scheduler = Self { kind, tasks: tasks.len(), rivals, monitor, marks, server, child: None, folder };
        scheduler.tell(tasks).with_context(|| format!("the tasks of {} can't be written", kind.name()))?;
        scheduler.start_again()?;
        scheduler.wait().with_context(|| format!("{} did not start", kind.name()))?;
        Ok(scheduler)
    }

    pub(crate) fn marks(&self) -> &Marks {
        &self.marks
    }

    /// Number of the process that decides.
    pub(crate) fn pid(&self) -> Result<String> {
        Ok(self.child.as_ref().context("it is not running")?.id().to_string())
    }

    /// Memory of the process that decides, in MiB.
    pub(crate) fn memory_mib(&self) -> Result<f64> {
        Ok(memory_kib(&self.pid()?, "VmRSS:")? / 1024.0)
    }

    /// Kills it with SIGKILL. The commands that it has started continue.
    pub(crate) fn kill(&mut self) -> Result<()> {
        let mut child = self.child.take().context("it is not running")?;
        ensure!(child.try_wait()?.is_none(), "{} has ended by itself", self.kind.name());
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Starts it again with its stored data, as an operator would after a crash.
    pub(crate) fn start_again(&mut self) -> Result<()> {
        let mut command = self.command();
        let log = File::options().create(true).append(true).open(self.path("log"))?;
        command.stdin(Stdio::null()).stderr(log);
        let mut child = command.spawn().with_context(|| format!("can't start {}", command.get_program().display()))?;
        if let Some(out) = child.stdout.take() {
            let ready = self.path("ready");
            let _ = fs::remove_file(&ready);
            std::thread::spawn(move || {
                let mut lines = BufReader::new(out).lines().map_while(Result::ok);
                if lines.any(|line| line == "ready") {
                    // The folder may have been removed.
                    let _ = fs::write(ready, "");
                }
            });
        }
        self.child = Some(child);
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self) -> Command {
        let script = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("rivals").join(name);
        match self.kind {
            Kind::Ours | Kind::OurFiles => {
                let mut command = self.monitor();
                command.args(["agent", "--name", "bench", "--data"]).arg(self.path("agent")).stdout(Stdio::null());
                if self.kind == Kind::OurFiles {
                    command.arg("--tasks").arg(self.path("tasks"));
                }
                command.env("MONITOR_TOKEN_FILE", self.path("token"));
                command
            }
            Kind::Node => {
                let mut command = cores::command("node");
                command.arg(script("schedule.js")).arg(self.path("tasks.json")).arg(self.marks.command());
                command.env("NODE_PATH", self.rivals.join("node/node_modules")).stdout(Stdio::piped());
                command
            }
            Kind::Python => {
                let mut command = self.python("run");
                command.stdout(Stdio::piped());
                command
            }
            Kind::Cron => {
                let mut command = cores::command("unshare");
                command.args(["--mount", "sh"]).arg(script("cron.sh")).arg(self.rivals.join("cron/usr/sbin/cron")).arg(self.path("tables"));
                command.stdout(Stdio::null());
                command
            }
        }
    }

    fn python(&self, verb: &str) -> Command {
        let mut command = cores::command(self.rivals.join("python/bin/python"));
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("rivals/schedule.py")).arg(verb);
        command.arg(self.path("tasks.json")).arg(self.marks.command()).arg(self.path("jobs.db"));
        command
    }

    /// Returns the command `monitor` for this server.
    fn monitor(&self) -> Command {
        let mut command = cores::command(&self.monitor);
        let server = self.server.as_ref().expect("ours has a server");
        command.env("MONITOR_SERVER_URL", server.url()).env("MONITOR_SPOOL_DIR", server.spool()).env("RUST_LOG", "warn");
        command
    }

    /// Puts the tasks where the scheduler looks for them.
    fn tell(&self, tasks: &[Task]) -> Result<()> {
        match self.kind {
            Kind::Ours | Kind::OurFiles => self.tell_ours(tasks),
            Kind::Node => self.write_list(tasks),
            Kind::Python => {
                self.write_list(tasks)?;
                done(&mut self.python("fill"))
            }
            Kind::Cron => {
                fs::create_dir(self.path("tables"))?;
                for (number, tasks) in tasks.chunks(CRONS_LINES).enumerate() {
                    let line = |task: &Task| {
                        let minutes = task.rule.split_once(' ').map_or("", |(_, minutes)| minutes);
                        format!("{minutes} root {} {}\n", self.marks.command().display(), task.name)
                    };
                    fs::write(self.path("tables").join(format!("tasks{number}")), tasks.iter().map(line).collect::<String>())?;
                }
                Ok(())
            }
        }
    }

    fn tell_ours(&self, tasks: &[Task]) -> Result<()> {
        fs::create_dir(self.path("tasks"))?;
        for task in tasks {
            // JSON is read as TOML is, and its strings need no care here.
            let definition =
                json!({"name": task.name, "command": [self.marks.command(), task.name], "rules": [task.rule], "on": ["bench"]});
            fs::write(self.path("tasks").join(format!("{}.json", task.name)), definition.to_string())?;
        }
        let data = self.server.as_ref().context("ours has a server")?.data();
        let created = self.monitor().args(["token", "create", "bench", "--scope", "agent", "--data"]).arg(&data).output()?;
        ensure!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
        fs::write(self.path("token"), created.stdout.trim_ascii())?;
        if self.kind == Kind::OurFiles {
            return Ok(());
        }
        let local = fs::read_to_string(data.join("local.token")).context("the server has no token")?;
        let mut apply = self.monitor();
        apply.args(["task", "apply", "--yes"]).arg(self.path("tasks")).env("MONITOR_TOKEN", local.lines().nth(1).unwrap_or_default());
        done(&mut apply)
    }

    fn write_list(&self, tasks: &[Task]) -> Result<()> {
        let list: Vec<_> = tasks.iter().map(|task| [&task.name, &task.rule]).collect();
        Ok(fs::write(self.path("tasks.json"), serde_json::to_string(&list)?)?)
    }

    /// Waits until it has all tasks.
    fn wait(&mut self) -> Result<()> {
        let begin = Instant::now();
        while !self.is_ready(begin.elapsed()) {
            let ended = self.child.as_mut().context("it is not running")?.try_wait()?;
            ensure!(ended.is_none() && begin.elapsed() < PATIENCE, "{}", fs::read_to_string(self.path("log"))?);
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn is_ready(&self, since: Duration) -> bool {
        match self.kind {
            Kind::Ours | Kind::OurFiles => {
                let count = || {
                    let database = Connection::open_with_flags(self.path("agent/agent.db"), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
                    database.query_row("SELECT count(*) FROM ledger", [], |row| row.get::<_, i64>(0))
                };
                // The database is made by the agent.
                count().is_ok_and(|count| count == self.tasks as i64)
            }
            Kind::Node | Kind::Python => self.path("ready").exists(),
            Kind::Cron => since > CRONS_START,
        }
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn done(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("can't run {}", command.get_program().display()))?;
    ensure!(output.status.success(), "{} failed: {}", command.get_program().display(), String::from_utf8_lossy(&output.stderr));
    Ok(())
}
