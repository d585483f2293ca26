//! Errors that end a receiver.

use std::io;
use std::path::PathBuf;

use monitor_api::InvalidSetting;

/// Error that ends a receiver.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server refused permanently, or the answer is not from Process Monitor. Temporary errors are retried instead.
    #[error(transparent)]
    Server(#[from] monitor_api::Error),
    /// The type pattern of a handler is not a valid glob.
    #[error("{pattern:?} is no glob for types of events, such as task-*: {why}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Description of the mistake.
        why: String,
    },
    /// The position file can't be read or written. Continuing without it would repeat or miss events after the next start.
    #[error("could not {action} the position file {}", path.display())]
    Position {
        /// Failed action.
        action: &'static str,
        /// Path of the file.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// The position file has other content, or is in use by another receiver.
    #[error("the position file {}: {why}", path.display())]
    Foreign {
        /// Path of the file.
        path: PathBuf,
        /// Description of the mistake.
        why: &'static str,
    },
}

impl From<InvalidSetting> for Error {
    fn from(invalid: InvalidSetting) -> Self {
        Self::Server(invalid.into())
    }
}
