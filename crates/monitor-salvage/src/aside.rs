//! A database under another name, with its log.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Suffixes of the files next to a database: its write-ahead log with the newest transactions, and the index of the log.
const BESIDE: [&str; 2] = ["-wal", "-shm"];

/// A path with more at the end of its name.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Moves a database and its log to `DATABASE.WORD-SECONDS`, a name that is free. Returns `None` if there is nothing to be moved.
///
/// # Errors
/// If a file can't be moved, with its path.
pub fn move_aside(database: &Path, word: &str, seconds: u64) -> Result<Option<PathBuf>, (PathBuf, io::Error)> {
    let is_there = |path: &Path| fs::symlink_metadata(path).is_ok();
    let is_free = |path: &PathBuf| !["", BESIDE[0], BESIDE[1]].iter().any(|suffix| is_there(&beside(path, suffix)));
    let to = (seconds..=u64::MAX).map(|seconds| beside(database, &format!(".{word}-{seconds}"))).find(is_free);
    let to = to.expect("a second without a file of its name");
    let mut is_moved = false;
    // The log first: a database without it is never taken for a whole one.
    for suffix in [BESIDE[0], BESIDE[1], ""] {
        let from = beside(database, suffix);
        if is_there(&from) {
            fs::rename(&from, beside(&to, suffix)).map_err(|error| (from, error))?;
            is_moved = true;
        }
    }
    Ok(is_moved.then_some(to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_moved_with_its_log_and_nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("a.db");
        assert_eq!(move_aside(&database, "damaged", 7).unwrap(), None);
        for (round, seconds) in [7, 8, 9].into_iter().enumerate() {
            fs::write(&database, round.to_string()).unwrap();
            fs::write(beside(&database, "-wal"), "log").unwrap();
            let moved = move_aside(&database, "damaged", 7).unwrap().unwrap();
            assert_eq!(moved, folder.path().join(format!("a.db.damaged-{seconds}")));
            assert_eq!(fs::read_to_string(&moved).unwrap(), round.to_string());
            assert!(beside(&moved, "-wal").exists() && !database.exists() && !beside(&database, "-wal").exists());
        }
    }
}
