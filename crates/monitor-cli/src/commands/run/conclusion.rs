//! The summary of a run that has ended, and its annotations.

use std::env;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use monitor_runs::Outcome;
use monitor_wire::State;
use url::Url;

use super::say;
use crate::client::{Connection, read_url};
use crate::summary::{Fetched, Form, Summary, annotation, annotations, bare, render};
use crate::text::now_us;

/// Maximum time to wait until the server has stored the records of the run.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Time between two requests.
const PAUSE: Duration = Duration::from_millis(100);
/// File that GitHub, Gitea and Forgejo show with a step of a job.
const STEP_SUMMARY: &str = "GITHUB_STEP_SUMMARY";

/// Summary and annotations that are written at the end of the outermost run.
pub(super) struct Conclusion {
    name: String,
    server: Option<Url>,
    file: Option<PathBuf>,
    has_annotations: bool,
}

impl Conclusion {
    /// The conclusion of a run, if any is wanted: a nested run writes none, because the outermost one includes it.
    pub(super) fn new(name: String, server: Option<Url>, summary: Option<OsString>) -> Option<Self> {
        let is_nested = ["MONITOR_ROOT_ID", "MONITOR_PARENT_ID"].iter().all(|name| set(name).is_some());
        if is_nested && summary.is_none() {
            return None;
        }
        let is_off = summary.as_ref().is_some_and(|file| file == "off");
        let file = if is_off { None } else { summary.or_else(|| set(STEP_SUMMARY)).map(PathBuf::from) };
        let has_annotations = !is_nested && env::var("GITHUB_ACTIONS").is_ok_and(|value| value == "true");
        (file.is_some() || has_annotations).then_some(Self { name, server, file, has_annotations })
    }

    /// Writes the conclusion of a recorded run.
    pub(super) fn write(&self, outcome: &Outcome) {
        // A successful run without a summary has nothing to report, so that the server need not be asked.
        if self.file.is_none() && outcome.is_success() {
            return;
        }
        let is_written = outcome.process.as_ref().and_then(|ids| self.write_recorded(&ids.root_id, &ids.process_id));
        if is_written.is_none() {
            self.write_bare(outcome.is_success(), &outcome.words(), outcome.why.as_deref());
        }
    }

    /// Writes outcome and reason alone.
    pub(super) fn write_bare(&self, is_success: bool, outcome: &str, reason: Option<&str>) {
        self.append(&bare(&self.name, is_success, outcome, reason));
        if !is_success {
            self.annotate(&[annotation(&self.name, reason.unwrap_or(outcome), None)]);
        }
    }

    /// Writes the conclusion with the server's data about the run; returns `None` if the data can't be read.
    fn write_recorded(&self, root: &str, process: &str) -> Option<()> {
        let server = self.server.clone().or_else(|| read_url(monitor_api::DEFAULT_URL).ok())?;
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
        let good = fetched.last_good(&connection).ok().flatten();
        let summary = Summary::new(fetched.run(), good.as_ref().map(Fetched::run), Some(connection.server().as_str()), now_us());
        if self.file.is_some() {
            self.append(&render(&summary, Form::Markdown));
        }
        self.annotate(&annotations(fetched.run()));
        Some(())
    }

    fn append(&self, text: &str) {
        let Some(file) = &self.file else { return };
        if let Err(error) = append(file, text) {
            say(&format!("the summary can't be written to {}: {error}", file.display()));
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
