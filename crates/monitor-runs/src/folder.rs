//! Files in a run's folder. Important files are synced, so that after a power cut they are either complete or absent.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use etcetera::BaseStrategy;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::RunError;

/// Maximum length of an id.
const LONGEST_ID: usize = 150;

/// Returns the folder of runs: `MONITOR_RUNS_DIR`, or `monitor/runs` in the user's state folder.
pub fn default_dir() -> Option<PathBuf> {
    if let Some(dir) = std::env::var_os("MONITOR_RUNS_DIR").filter(|dir| !dir.is_empty()) {
        return std::path::absolute(PathBuf::from(dir)).ok();
    }
    let folders = etcetera::base_strategy::choose_native_strategy().ok()?;
    Some(folders.state_dir().unwrap_or_else(|| folders.data_dir()).join("monitor").join("runs"))
}

/// Creates the folder of a new run. Since a folder can be created only once, a second start with the same id is refused, by any program.
pub(crate) fn create(runs: &Path, id: Option<&str>) -> Result<PathBuf, RunError> {
    let unusable = |source| RunError::runs_folder(runs, source);
    DirBuilder::new().recursive(true).mode(0o700).create(runs).map_err(unusable)?;
    let make = |id: &str| DirBuilder::new().mode(0o700).create(runs.join(id)).map(|()| runs.join(id));
    if let Some(id) = id {
        check_id(id)?;
        return make(id).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => RunError::Exists { id: id.to_owned() },
            _ => unusable(error),
        });
    }
    let seed = now_us() ^ u64::from(std::process::id()) << 40;
    for salt in 0_u64.. {
        let id = format!("{:010x}", (seed.wrapping_add(salt).wrapping_mul(0x9e37_79b9_7f4a_7c15)) >> 24);
        match make(&id) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            folder => return folder.map_err(unusable),
        }
    }
    unreachable!("there are more ids than folders")
}

/// Removes the folder of a run whose caller was killed before it wrote the specification. Only the single program that starts runs in
/// `runs` may call this, because another program could be inside [`ask`](crate::ask).
///
/// # Errors
/// If the folder can't be removed.
pub fn forget_unasked(runs: &Path, id: &str) -> io::Result<()> {
    let folder = runs.join(id);
    if check_id(id).is_err() || !folder.is_dir() || folder.join("spec.json").exists() {
        return Ok(());
    }
    fs::remove_dir_all(folder)
}

/// Checks the syntax of an id. It is used as a folder name and in shells: no path separators, no hidden files, no special characters.
fn check_id(id: &str) -> Result<(), RunError> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
    let is_good = (1..=LONGEST_ID).contains(&id.len()) && id.chars().all(is_plain) && !id.starts_with(['.', '-', '@']);
    if is_good { Ok(()) } else { Err(RunError::BadId { id: id.to_owned() }) }
}

/// Writes a file and syncs it and its name, so that it survives a power cut.
pub(crate) fn write_synced(folder: &Path, name: &str, value: &impl Serialize) -> io::Result<()> {
    let new = write_aside(folder, name, value)?;
    File::open(&new)?.sync_all()?;
    fs::rename(new, folder.join(name))?;
    sync_folder(folder)
}

/// Replaces a file atomically. After a power cut, the file may be missing.
pub(crate) fn replace(folder: &Path, name: &str, value: &impl Serialize) -> io::Result<()> {
    fs::rename(write_aside(folder, name, value)?, folder.join(name))
}

/// Creates a file, and fails if it exists. After a power cut, the file may be missing.
pub(crate) fn create_new(folder: &Path, name: &str, value: &impl Serialize) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(folder.join(name))?;
    file.write_all(&text_of(value)?)
}

/// Syncs the names in a folder.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<T, RunError> {
    let text = fs::read(path).map_err(|source| RunError::Folder { path: path.to_owned(), wanted: "can't be read", source })?;
    serde_json::from_slice(&text).map_err(|source| RunError::Damaged { path: path.to_owned(), source })
}

/// Returns the current time in Unix microseconds.
pub fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

fn write_aside(folder: &Path, name: &str, value: &impl Serialize) -> io::Result<PathBuf> {
    // A separate file per process, because launcher, helper and command may write at the same time.
    let new = folder.join(format!(".{name}.{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(&text_of(value)?)?;
    Ok(new)
}

fn text_of(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_plain_word_and_is_used_once() {
        let runs = tempfile::tempdir().unwrap();
        for id in ["", ".", "..", ".hidden", "-rf", "a/b", "../a", "a b", "a\nb", "ü", "a\0", "@a", &"x".repeat(151)] {
            assert!(matches!(create(runs.path(), Some(id)), Err(RunError::BadId { .. })), "{id:?}");
        }
        for id in ["a", "nightly-2026.11.20_1", "gold@20261121T023000Z.1", &"x".repeat(150)] {
            assert_eq!(create(runs.path(), Some(id)).unwrap(), runs.path().join(id));
            assert!(matches!(create(runs.path(), Some(id)), Err(RunError::Exists { .. })), "{id:?}");
        }
        assert_ne!(create(runs.path(), None).unwrap(), create(runs.path(), None).unwrap());
    }

    #[test]
    fn a_file_is_written_completely_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        write_synced(folder.path(), "a.json", &[1, 2]).unwrap();
        replace(folder.path(), "a.json", &[3]).unwrap();
        assert_eq!(read::<Vec<u32>>(&folder.path().join("a.json")).unwrap(), [3]);
        create_new(folder.path(), "b.json", &1).unwrap();
        assert_eq!(create_new(folder.path(), "b.json", &2).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        fs::write(folder.path().join("a.json"), "{").unwrap();
        assert!(matches!(read::<Vec<u32>>(&folder.path().join("a.json")), Err(RunError::Damaged { .. })));
    }
}
