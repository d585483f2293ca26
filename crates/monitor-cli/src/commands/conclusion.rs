//! The summary of a run that has ended, and its annotations.

use std::env;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use monitor_wire::State;
use url::Url;

use crate::client::{Connection, read_url};
use crate::summary::{Fetched, Form, Summary, annotation, annotations, bare, render};
use crate::text::{now_us, visible};

/// Maximum time to wait until the server has stored the records of the run.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Time between two requests.
pub(super) const PAUSE: Duration = Duration::from_millis(100);
/// File that GitHub, Gitea and Forgejo show with a step of a job.
const STEP_SUMMARY: &str = "GITHUB_STEP_SUMMARY";

/// End of a command, as the command line of `monitor after-run`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Ending {
    /// Name of the run
    #[arg(long)]
    pub(super) name: String,
    /// The command succeeded
    #[arg(long)]
    pub(super) is_success: bool,
    /// How the command ended, in words
    #[arg(long, value_name = "TEXT")]
    pub(super) outcome: String,
    /// The line of output that explains a failure
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: Option<String>,
}

impl Ending {
    /// Returns the options of `monitor after-run`.
    pub(super) fn words(&self) -> Vec<OsString> {
        let reason = self.reason.iter().map(|reason| format!("--reason={reason}"));
        let words = [format!("--name={}", self.name), format!("--outcome={}", self.outcome)].into_iter().chain(reason);
        words.chain(self.is_success.then(|| "--is-success".to_owned())).map(Into::into).collect()
    }
}

/// Summary and annotations that are written at the end of the outermost run.
pub(super) struct Conclusion {
    file: Option<PathBuf>,
    has_annotations: bool,
}

impl Conclusion {
    /// The conclusion of a run, if any is wanted: a nested run writes none, because the outermost one includes it.
    pub(super) fn new(summary: Option<OsString>) -> Option<Self> {
        let is_nested = ["MONITOR_ROOT_ID", "MONITOR_PARENT_ID"].iter().all(|name| set(name).is_some());
        if is_nested && summary.is_none() {
            return None;
        }
        let is_off = summary.as_ref().is_some_and(|file| file == "off");
        let file = if is_off { None } else { summary.or_else(|| set(STEP_SUMMARY)).map(PathBuf::from) };
        let has_annotations = !is_nested && env::var("GITHUB_ACTIONS").is_ok_and(|value| value == "true");
        (file.is_some() || has_annotations).then_some(Self { file, has_annotations })
    }

    /// Returns false if the ending needs no conclusion: a successful run without a summary has nothing to report.
    pub(super) fn is_due(&self, ending: &Ending) -> bool {
        self.file.is_some() || !ending.is_success
    }

    /// Writes outcome and reason alone.
    pub(super) fn write_bare(&self, Ending { name, is_success, outcome, reason }: &Ending) {
        self.append(&bare(name, *is_success, outcome, reason.as_deref()));
        if !is_success {
            self.annotate(&[annotation(name, reason.as_ref().unwrap_or(outcome), None)]);
        }
    }

    /// Writes the conclusion with the server's data about the process of a run; returns `None` if the data can't be read.
    pub(super) fn write_recorded(&self, server: Option<&Url>, root: &str, process: &str) -> Option<()> {
        let server = server.cloned().or_else(|| read_url(monitor_api::DEFAULT_URL).ok())?;
        let connection = Connection::to(server);
        // Asked first, so that nothing waits for a server that isn't there.
        connection.ask(connection.client().ok()?.status().patience(PATIENCE)).ok()?;
        let deadline = Instant::now() + PATIENCE;
        monitor_runner::flush(PATIENCE);
        let fetched = loop {
            let fetched = Fetched::read(&connection, root).ok();
            let is_whole = |fetched: &Fetched| {
                let own = fetched.processes.iter().find(|known| known.id.to_string() == process);
                let has_ended = own.is_some_and(|own| ![State::RUNNING, State::PENDING].contains(&own.state));
                has_ended && fetched.root.counts.running == 0
            };
            if fetched.as_ref().is_some_and(is_whole) || Instant::now() >= deadline {
                break fetched?;
            }
            std::thread::sleep(PAUSE);
        };
        self.write(&[fetched], Some(&connection));
        Some(())
    }

    /// Writes the conclusion of runs, compared with the last good ones if there is a server.
    pub(super) fn write(&self, runs: &[Fetched], connection: Option<&Connection>) {
        if self.file.is_some() {
            let text = |fetched: &Fetched| {
                let good = connection.and_then(|connection| fetched.last_good(connection).ok().flatten());
                let page = connection.map(|connection| connection.server().as_str());
                let summary = Summary::new(fetched.run(), good.as_ref().map(Fetched::run), page, now_us());
                render(&summary, Form::Markdown)
            };
            self.append(&runs.iter().map(text).collect::<Vec<_>>().join("\n\n"));
        }
        self.annotate(&runs.iter().flat_map(|fetched| annotations(fetched.run())).collect::<Vec<_>>());
    }

    fn append(&self, text: &str) {
        let Some(file) = &self.file else { return };
        if let Err(error) = append(file, text) {
            let _ =
                writeln!(anstream::stderr(), "monitor: the summary can't be written to {}: {error}", visible(&file.display().to_string()));
        }
    }

    fn annotate(&self, lines: &[String]) {
        if self.has_annotations && !lines.is_empty() {
            // The last line of the command may have no end, and GitHub reads an annotation only at the beginning of a line.
            let _ = writeln!(std::io::stderr(), "\n{}", lines.join("\n"));
        }
    }
}

fn append(file: &Path, text: &str) -> std::io::Result<()> {
    // In one write, because other steps may append to the same file.
    OpenOptions::new().append(true).create(true).open(file)?.write_all(format!("{}\n\n", text.trim_end()).as_bytes())
}

/// A variable that is set and not empty.
fn set(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}
