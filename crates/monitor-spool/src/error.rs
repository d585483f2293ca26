//! Why a spool can't be used.

use std::io;
use std::path::{Path, PathBuf};

/// What could not be done, where, and why.
#[derive(Debug)]
#[non_exhaustive]
pub enum SpoolError {
    /// Somebody else could have made it, or could read it.
    Untrusted {
        /// The folder or file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The bound of the folder is reached.
    Full {
        /// The folder.
        path: PathBuf,
        /// Its bound.
        limit_bytes: u64,
    },
    /// The file is none of ours, or of another version.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The operating system refused.
    Disk {
        /// What was tried: `create`, `read` …
        action: &'static str,
        /// The folder or file.
        path: PathBuf,
        /// Its word.
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
