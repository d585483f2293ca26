//! Why a receiver ends.

use std::io;
use std::path::PathBuf;

use monitor_api::InvalidSetting;

/// Why a receiver can't go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server refused for good, or something else answered. What passes by itself is tried again instead.
    #[error(transparent)]
    Server(#[from] monitor_api::Error),
    /// The types that a handler was given are no glob.
    #[error("{pattern:?} is no glob for types of events, such as task-*: {why}")]
    Pattern {
        /// What was given.
        pattern: String,
        /// What is wrong with it.
        why: String,
    },
    /// The position file can't be read or written. Going on without it would repeat or miss events after the next start.
    #[error("could not {action} the position file {}", path.display())]
    Position {
        /// What failed.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The position file holds something else, or another receiver uses it.
    #[error("the position file {}: {why}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl From<InvalidSetting> for Error {
    fn from(invalid: InvalidSetting) -> Self {
        Self::Server(invalid.into())
    }
}
