//! Problem reports of the background process that ships records. It has no terminal, so it writes them into a file of the project, which
//! `cargo monitor` displays.

use std::fs;
use std::path::{Path, PathBuf};

use monitor_api::Settings;
use monitor_spool::Answer;

/// File with the reason why the server did not accept the records. It exists only as long as the problem does.
pub(crate) struct Unsent(Option<PathBuf>);

impl Unsent {
    /// Returns the file of the project whose plan is named in the environment.
    pub(super) fn of_this_project() -> Self {
        Self(std::env::var_os(crate::plan::VARIABLE).map(|plan| file(Path::new(&plan))))
    }

    /// Writes the reason why the server did not accept the last batch.
    pub(super) fn say(&self, answer: &Answer) {
        let (Some(file), Ok(settings)) = (&self.0, Settings::from_env()) else { return };
        let url = settings.url().origin().ascii_serialization();
        let why = match answer {
            Answer::Refused { why } => format!("the server at {url} refuses what is recorded (MONITOR_SERVER_URL, MONITOR_TOKEN?): {why}"),
            Answer::Away { why } => format!("the server at {url} is not reached: {why}"),
            // Temporary or handled elsewhere, so it is not reported.
            Answer::Busy { .. } | Answer::Accepted | Answer::TooLarge { .. } | Answer::Unreadable { .. } => return,
        };
        // A write error is ignored, because this process has no place to report it.
        let _ = fs::write(file, why);
    }

    /// Removes the file, after the server has accepted a batch.
    pub(super) fn over(&self) {
        self.0.as_ref().map(fs::remove_file);
    }
}

/// Returns the reason why records of earlier runs wait in the spool, given the path of the plan.
pub(crate) fn unsent(plan: &Path) -> Option<String> {
    fs::read_to_string(file(plan)).ok()
}

fn file(plan: &Path) -> PathBuf {
    plan.with_file_name("unsent")
}
