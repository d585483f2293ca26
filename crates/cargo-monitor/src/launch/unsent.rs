//! What the one who ships has to say, which has no terminal: a file in the project's folder, which `cargo monitor` reads out.

use std::fs;
use std::path::{Path, PathBuf};

use monitor_api::Settings;
use monitor_spool::Answer;

/// The file that holds why the server hasn't taken what was recorded. It is there as long as that is so.
pub(crate) struct Unsent(Option<PathBuf>);

impl Unsent {
    /// The file of the project whose plan is in the environment.
    pub(super) fn of_this_project() -> Self {
        Self(std::env::var_os(crate::plan::VARIABLE).map(|plan| file(Path::new(&plan))))
    }

    /// Says why the server didn't take what was sent.
    pub(super) fn say(&self, answer: &Answer) {
        let (Some(file), Ok(settings)) = (&self.0, Settings::from_env()) else { return };
        let url = settings.url().origin().ascii_serialization();
        let why = match answer {
            Answer::Refused { why } => format!("the server at {url} refuses what is recorded (MONITOR_SERVER_URL, MONITOR_TOKEN?): {why}"),
            Answer::Away { why } => format!("the server at {url} is not reached: {why}"),
            // It passes by itself.
            Answer::Busy { .. } | Answer::Accepted | Answer::TooLarge { .. } | Answer::Unreadable { .. } => return,
        };
        // Nobody is there to tell that it could not be written.
        let _ = fs::write(file, why);
    }

    /// The server has taken something since.
    pub(super) fn over(&self) {
        self.0.as_ref().map(fs::remove_file);
    }
}

/// What is to be said of runs whose records wait in the spool, by the path of a plan.
pub(crate) fn unsent(plan: &Path) -> Option<String> {
    fs::read_to_string(file(plan)).ok()
}

fn file(plan: &Path) -> PathBuf {
    plan.with_file_name("unsent")
}
