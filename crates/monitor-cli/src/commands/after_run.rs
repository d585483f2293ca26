//! `monitor after-run`: the report, the summary and the annotations of a command that has ended.

use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use monitor_spool::{Life, Spool};
use monitor_wire::{State, Worker, WorkerState};

use super::conclusion::{Conclusion, Ending, PATIENCE, PAUSE};
use super::report::{Contents, NOWHERE, Recorded, spool_of, write_exported};
use crate::client::{Connection, read_url};
use crate::summary::Fetched;
use crate::text::visible;

/// Maximum number of workers that are examined, the newest first.
const WORKERS: usize = 1_000;
/// Maximum number of trees of a program in a report.
const TREES: usize = 50;
/// Maximum number of trees in a report from a server.
const ALL_TREES: usize = 100;

/// Writes the report and the summary of a command that has ended, in the place of its launcher
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The temporary folder of the command, which is removed: it contains the spool, or else what was launched
    #[arg(long, value_name = "FOLDER")]
    folder: PathBuf,
    /// The exit code of the command
    #[arg(long, value_name = "CODE")]
    exit_code: u8,
    /// The report
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    contents: Contents,
    #[command(flatten)]
    ending: Ending,
    /// Where the summary is appended
    #[arg(long, value_name = "FILE")]
    summary: Option<OsString>,
    /// The command was `cargo monitor`, which records nothing itself
    #[arg(long)]
    is_cargo: bool,
}

/// Exits with the code of the command, whatever becomes of the rest.
pub(crate) fn run(args: Args) -> ExitCode {
    let Args { folder, exit_code, output, contents, ending, summary, is_cargo } = args;
    let conclusion = Conclusion::new(summary).filter(|conclusion| conclusion.is_due(&ending));
    if output.is_some() || conclusion.is_some() {
        let source = Source::find(&folder, is_cargo, exit_code);
        if let Some(output) = &output {
            let written = source.as_ref().map_err(|error| anyhow::anyhow!("{error:#}"));
            if let Err(error) = written.and_then(|source| source.write_report(output, &contents)) {
                let _ = writeln!(anstream::stderr(), "monitor: the report was not written: {}", visible(&format!("{error:#}")));
            }
        }
        if let Some(conclusion) = conclusion {
            source.and_then(|source| source.conclude(&conclusion, &ending)).unwrap_or_else(|_| conclusion.write_bare(&ending));
        }
    }
    if is_cargo {
        hand_over(&spool_of(&folder));
    }
    let _ = fs::remove_dir_all(folder);
    ExitCode::from(exit_code)
}

/// Records of the command.
enum Source {
    Spool(Recorded),
    /// Ids of trees that a server has.
    Server(Connection, Vec<String>),
}

impl Source {
    fn find(folder: &Path, is_cargo: bool, exit_code: u8) -> anyhow::Result<Self> {
        let spool = spool_of(folder);
        if !spool.is_dir() {
            return Self::of_server(&folder.join("launches"));
        }
        // cargo does not wait for programs of tests if a signal ends it.
        let deadline = Instant::now() + PATIENCE;
        while is_cargo && exit_code > 128 && is_recording(&spool) && Instant::now() < deadline {
            std::thread::sleep(PAUSE);
        }
        Ok(Self::Spool(Recorded::read(&spool, (!is_cargo).then(std::process::id))?))
    }

    /// Finds the trees of programs that `cargo monitor` has launched. `launches` contains a file for each, with the name `PID`, which is renamed
    /// to `PID.shipped` when the server has stored the records of the program.
    fn of_server(launches: &Path) -> anyhow::Result<Self> {
        let configured = std::env::var("MONITOR_SERVER_URL").ok().filter(|url| !url.trim().is_empty());
        let server = read_url(configured.as_deref().unwrap_or(monitor_api::DEFAULT_URL)).map_err(anyhow::Error::msg)?;
        let connection = Connection::to(server);
        // Asked first, so that nothing waits for a server that isn't there.
        connection.ask(connection.client()?.status().patience(PATIENCE))?;
        let (deadline, host) = (Instant::now() + PATIENCE, gethostname::gethostname());
        let workers = loop {
            let programs = launched(launches)?;
            let is_launched = |worker: &Worker| {
                let begun = |launch: &&Launch| launch.pid == worker.pid && worker.started_us >= Some(launch.begun_us);
                *host == *worker.hostname && programs.iter().any(|launch| begun(&launch))
            };
            let mut workers = connection.ask(connection.client()?.workers().limit(WORKERS))?.workers;
            workers.retain(is_launched);
            let is_over = |worker: &Worker| worker.state != WorkerState::ONLINE;
            if programs.iter().all(|launch| launch.is_shipped) && workers.iter().all(is_over) || Instant::now() >= deadline {
                break workers;
            }
            std::thread::sleep(PAUSE);
        };
        let mut roots = Vec::new();
        for worker in workers {
            roots.extend(connection.ask(connection.client()?.roots().worker(&worker.id.to_string()).limit(TREES))?.roots);
        }
        // Below a process of another program, they begin no tree.
        let outer = std::env::var("MONITOR_ROOT_ID").ok().filter(|root| !root.is_empty() && roots.is_empty());
        roots.sort_by_key(|root| (![State::FAILED, State::LOST].contains(&root.state), root.started_us));
        roots.truncate(ALL_TREES);
        let ids = roots.iter().map(|root| root.root_id.to_string()).chain(outer);
        Ok(Self::Server(connection, ids.collect()))
    }

    fn write_report(&self, output: &Path, contents: &Contents) -> anyhow::Result<()> {
        match self {
            Self::Spool(recorded) => recorded.write(output, contents).map(drop),
            Self::Server(connection, roots) => write_exported(connection, roots, output, contents),
        }
    }

    fn conclude(&self, conclusion: &Conclusion, ending: &Ending) -> anyhow::Result<()> {
        let (runs, connection): (Vec<Fetched>, _) = match self {
            Self::Spool(recorded) => {
                let trees = recorded.offline.trees()?;
                (trees.into_iter().map(|tree| Fetched { root: tree.root, processes: tree.processes }).collect(), None)
            }
            Self::Server(connection, roots) => {
                (roots.iter().map(|root| Fetched::read(connection, root)).collect::<Result<_, _>>()?, Some(connection))
            }
        };
        let is_explained = |run: &Fetched| ending.is_success || [State::FAILED, State::LOST].contains(&run.root.state);
        // As when the compiler has found an error.
        if !runs.iter().any(is_explained) {
            conclusion.write_bare(ending);
        }
        if !runs.is_empty() {
            conclusion.write(&runs, connection);
        }
        Ok(())
    }
}

/// A program that `cargo monitor` has launched.
struct Launch {
    pid: u32,
    begun_us: u64,
    is_shipped: bool,
}

fn launched(folder: &Path) -> anyhow::Result<Vec<Launch>> {
    let launch = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let (pid, is_shipped) = name.strip_suffix(".shipped").map_or((&*name, false), |pid| (pid, true));
        let begun = entry.metadata().ok()?.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
        Some(Launch { pid: pid.parse().ok()?, begun_us: us(begun), is_shipped })
    };
    Ok(fs::read_dir(folder)?.flatten().filter_map(launch).collect())
}

fn us(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Moves the records to the spool of the run that this one is part of, if that run has no server either.
fn hand_over(spool: &Path) {
    let outer = std::env::var_os("MONITOR_SPOOL_DIR").filter(|_| std::env::var_os("MONITOR_SERVER_URL").is_some_and(|url| url == NOWHERE));
    let Some(outer) = outer.map(PathBuf::from) else { return };
    for entry in fs::read_dir(spool).into_iter().flatten().flatten() {
        let _ = fs::rename(entry.path(), outer.join(entry.file_name()));
    }
}

/// Returns true if a program still records into the spool.
fn is_recording(spool: &Path) -> bool {
    let found = Spool::existing(spool).ok().flatten().and_then(|spool| spool.list().ok()).unwrap_or_default();
    found.iter().any(|found| found.life == Life::Living)
}
