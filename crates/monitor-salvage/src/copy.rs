//! A copy of damaged files, so that these are never written.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::aside::beside;

/// A copy of a database and its log. It is removed when this is dropped.
#[derive(Debug)]
pub struct Copy(PathBuf);

impl Copy {
    /// Copies the files of a database to this path.
    ///
    /// # Errors
    /// If a file can't be copied, with its path.
    pub fn of(database: &Path, to: PathBuf) -> Result<Self, (PathBuf, io::Error)> {
        let copy = Self(to);
        for suffix in ["", "-wal"] {
            let from = beside(database, suffix);
            if from.exists() {
                fs::copy(&from, beside(&copy.0, suffix)).map_err(|error| (from, error))?;
            }
        }
        Ok(copy)
    }

    /// Opens the copy, without its log if that makes it unreadable.
    ///
    /// # Errors
    /// The first error of `open`, if it fails without the log as well.
    pub fn open<T, E>(&self, open: impl Fn(&Path) -> Result<T, E>) -> Result<T, E> {
        open(&self.0).or_else(|error| {
            let log = beside(&self.0, "-wal");
            if log.exists() && fs::remove_file(log).is_ok() { open(&self.0).map_err(|_| error) } else { Err(error) }
        })
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        for suffix in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(beside(&self.0, suffix));
        }
    }
}
