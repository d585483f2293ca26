//! Errors of the spool.

use std::io;
use std::path::{Path, PathBuf};

/// Error of the spool.
#[derive(Debug)]
#[non_exhaustive]
pub enum SpoolError {
    /// The folder or file could be created or read by another user.
    Untrusted {
        /// The folder or file.
        path: PathBuf,
        /// Reason for the distrust.
        why: &'static str,
    },
    /// The size limit of the folder is reached.
    Full {
        /// The folder.
        path: PathBuf,
        /// Size limit of the folder.
        limit_bytes: u64,
    },
    /// The file was not written by the spool, or by another version.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Description of the mistake.
        why: String,
    },
    /// A file operation failed.
    Disk {
        /// Attempted operation: `create`, `read` …
        action: &'static str,
        /// The folder or file.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
}

impl SpoolError {
    pub(crate) fn disk(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Disk { action, path, source }
    }
}

impl std::fmt::Display for SpoolError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Untrusted { path, why } => {
                write!(f, "{} is not trusted as a spool: {why}; make it a folder of your own that only you can write to", path.display())
            }
            Self::Full { path, limit_bytes } => {
                write!(f, "{} has reached its bound of {limit_bytes} bytes: see MONITOR_SPOOL_BYTES", path.display())
            }
            Self::Unreadable { path, why } => write!(f, "{} can't be read: {why}", path.display()),
            Self::Disk { action, path, source } => write!(f, "could not {action} {}: {source}", path.display()),
        }
    }
}

impl std::error::Error for SpoolError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Disk { source, .. } => Some(source),
            _ => None,
        }
    }
}
