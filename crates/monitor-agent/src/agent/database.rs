//! Checks of a running agent's database, and the switch to another database if it is lost.

use jiff::Timestamp;
use monitor_salvage::move_aside;

use super::Agent;
use crate::error::AgentError;
use crate::folder::DATABASE;
use crate::rebuild;
use crate::watch::identity;

impl Agent {
    /// Checks whether a file of the database was deleted or replaced. The next start would not find later writes to this file.
    pub(super) fn look_for_database(&mut self) {
        let changed = self.opened.iter().find_map(|(path, opened)| {
            let now = identity(path);
            (now != *opened).then(|| (path, if now.is_some() { "was replaced" } else { "was deleted" }))
        });
        if let Some((path, what)) = changed {
            self.lost = Some(format!("{} {what} while the agent ran", path.display()));
        }
    }

    /// Leaves a lost database. Copies its content to a new file if possible, and moves aside the file in its place. If files of the database
    /// were deleted or replaced, the copy succeeds, because the agent still has them open. If a damaged database can't be copied, the next start
    /// makes a new database from other data (see [`rebuild`]).
    pub(super) fn leave_database(&mut self, why: &str) {
        let (data, now) = (self.config.data.clone(), Timestamp::now());
        let (path, new) = (data.join(DATABASE), data.join(format!("{DATABASE}.new")));
        let (key, title) = (format!("agent-database {}", self.config.name), format!("the agent {} lost its database", self.config.name));
        let teller = &self.teller;
        let text = format!("{why}. All that was in it could be kept: the agent goes on with a copy.");
        let copied = self.database.write(|transaction| teller.alert(transaction, &key, &title, &text, now));
        let copied =
            copied.and_then(|()| self.database.copy_to(&new)).inspect_err(|error| tracing::error!(%error, "the database can't be copied"));
        match move_aside(&path, rebuild::DAMAGED, u64::try_from(now.as_second()).unwrap_or_default()) {
            Ok(None) => {}
            Ok(Some(moved)) => tracing::error!("{} was moved aside: it is now {}", path.display(), moved.display()),
            Err((path, error)) => tracing::error!(%error, "{} can't be moved aside", path.display()),
        }
        if copied.is_ok() && std::fs::rename(&new, &path).is_ok() {
            tracing::error!("{title}: {text}");
        } else {
            let _ = std::fs::remove_file(&new);
            tracing::error!("{title}: {why}");
        }
    }

    /// Returns the value of a database operation, or `None` if it failed. Logs each new error once, and logs when the database works again.
    pub(super) fn is_done<T>(&mut self, result: Result<T, AgentError>) -> Option<T> {
        match result {
            Ok(done) => {
                if self.failure.take().is_some() {
                    tracing::info!("the agent's database works again");
                }
                Some(done)
            }
            Err(error) => {
                if let AgentError::Damaged { path, why } = &error {
                    self.lost = Some(format!("{} is damaged: {why}", path.display()));
                }
                let source = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
                let words = format!("{error}{source}");
                if self.failure.as_ref() != Some(&words) {
                    tracing::error!("{words}; nothing is started until it works again");
                    self.failure = Some(words);
                }
                None
            }
        }
    }
}
