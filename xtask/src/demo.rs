//! `cargo xtask demo`: starts a server with a real program, workers of a queue and links between runs, for viewing.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::run::{cargo, command, step, target, workspace};

/// Default port of Process Monitor.
pub(crate) const PORT: u16 = 60_010;

/// Time for which the workers continue, in seconds.
const SECONDS_OF_WORK: u32 = 600;

pub(crate) fn demo(folder: Option<PathBuf>, port: u16, once: bool) -> Result<()> {
    let folder = folder
        .map_or_else(|| Ok(workspace()), |folder| folder.canonicalize().with_context(|| format!("can't open {}", folder.display())))?;
    step("build", &mut cargo(&["build", "-p", "monitor-cli", "-p", "monitor-examples", "--bins"]))?;
    let data = target().join("demo");
    let server = Server::start(&binary("monitor"), &data, free_port(port)?)?;
    println!("\n── count the sources of {}", folder.display());
    let mut pipeline = command(binary("pipeline"), &["--report"]);
    pipeline.arg(data.join("report.json")).arg(&folder).env("MONITOR_ENABLED", "1").env("MONITOR_SERVER_URL", &server.url);
    let status = pipeline.status().context("can't run the pipeline")?;
    println!("\nWatch it:  {}", server.link_to_newest()?);
    println!("All runs:  {}/tasks", server.url);
    if !status.success() {
        bail!("the pipeline ended with {status}; the page shows the reason");
    }
    let workers = Workers::start(&server.url, (!once).then_some(SECONDS_OF_WORK))?;
    println!("Tasks of a queue, with a retry, a limit and revoked ones: {}/tasks/queue", server.url);
    if once {
        return workers.wait();
    }
    println!("The workers go on for {} minutes and take commands: {}/tasks/workers", SECONDS_OF_WORK / 60, server.url);
    println!("Serving until Ctrl-C. The data is kept in {}.", data.display());
    server.wait()
}

/// Returns the requested port if it is free, otherwise 0, which lets the system choose.
fn free_port(wanted: u16) -> Result<u16> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, wanted)) {
        Ok(_) => Ok(wanted),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            println!("Port {wanted} is taken: the server gets a free one.");
            Ok(0)
        }
        Err(error) => Err(error).with_context(|| format!("can't listen on port {wanted}")),
    }
}

fn binary(name: &str) -> PathBuf {
    target().join("debug").join(name)
}

/// The example `workers` as a child process, which ends with this program.
struct Workers(Child);

impl Workers {
    /// Starts workers that execute a few tasks, and continue for `seconds` if it is given.
    fn start(server: &str, seconds: Option<u32>) -> Result<Self> {
        let mut workers = Command::new(binary("workers"));
        workers.args(seconds.map(|seconds| seconds.to_string())).stdin(Stdio::null()).stdout(Stdio::null());
        workers.env("MONITOR_ENABLED", "1").env("MONITOR_COMMANDS", "all").env("MONITOR_SERVER_URL", server);
        Ok(Self(workers.spawn().context("can't start the workers")?))
    }

    fn wait(mut self) -> Result<()> {
        let status = self.0.wait()?;
        if status.success() { Ok(()) } else { bail!("the workers ended with {status}") }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `monitor server` as a child process, which ends with this program.
pub(crate) struct Server {
    child: Child,
    url: String,
}

impl Server {
    /// Runs `program` with the data folder `data`, listening on loopback at `port`; 0 selects a free port.
    pub(crate) fn start(program: &Path, data: &Path, port: u16) -> Result<Self> {
        let mut child = Command::new(program)
            .args(["server", "--listen", &format!("127.0.0.1:{port}"), "--data"])
            .arg(data)
            .args(["--agent", "off"])
            .stdout(Stdio::piped())
            // In a process group of its own, because Ctrl-C in a terminal would otherwise reach the server as well, in addition to the
            // signal from this program.
            .process_group(0)
            .spawn()
            .context("can't start the server")?;
        let stdout = child.stdout.take().context("the server has no stdout")?;
        let mut lines = BufReader::new(stdout).lines();
        let url = loop {
            match lines.next() {
                Some(line) => {
                    if let Some(url) =
                        line?.split_whitespace().find_map(|word| word.strip_suffix("/tasks").filter(|url| url.starts_with("http")))
                    {
                        break url.to_owned();
                    }
                }
                None => bail!("the server did not start ({})", child.wait()?),
            }
        };
        // Keep reading the output, so that the pipe does not fill up and block the server.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| println!("{line}")));
        let pid = child.id();
        ctrlc::set_handler(move || terminate(pid))?;
        Ok(Self { child, url })
    }

    /// Base URL of the server, such as `http://127.0.0.1:40123`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    fn link_to_newest(&self) -> Result<String> {
        let output = Command::new(binary("monitor")).args(["roots", "--limit", "1", "--json", "--server", &self.url]).output()?;
        let roots: serde_json::Value = serde_json::from_slice(&output.stdout).context("the server does not answer")?;
        let number = &roots["roots"][0]["number"];
        Ok(format!("{}/tasks/{number}", self.url))
    }

    fn wait(mut self) -> Result<()> {
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            terminate(self.child.id());
            let _ = self.child.wait();
        }
    }
}

/// Sends SIGTERM, so that the process can finish its work.
fn terminate(pid: u32) {
    let _ = Command::new("kill").args(["-TERM", &pid.to_string()]).status();
}
