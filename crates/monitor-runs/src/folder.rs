//! Files of a run's folder: how they are written so that a power cut leaves all of one or none of it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use etcetera::BaseStrategy;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::RunError;

/// Longest id that a caller may give.
const LONGEST_ID: usize = 150;

/// Where runs are kept: `MONITOR_RUNS_DIR`, or `monitor/runs` in the user's folder for state.
pub fn default_dir() -> Option<PathBuf> {
    if let Some(dir) = std::env::var_os("MONITOR_RUNS_DIR").filter(|dir| !dir.is_empty()) {
        return std::path::absolute(PathBuf::from(dir)).ok();
    }
    let folders = etcetera::base_strategy::choose_native_strategy().ok()?;
    Some(folders.state_dir().unwrap_or_else(|| folders.data_dir()).join("monitor").join("runs"))
}

/// Makes the folder of a new run. A folder can be made only once, so that of two starts of one id the second is refused, by whomever.
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

/// Removes the folder of an id whose caller was killed before it had said what is to be run. Only for whoever alone starts the runs of
/// this folder: [`ask`](crate::ask) of another may be at it.
///
/// # Errors
/// When it can't be removed.
pub fn forget_unasked(runs: &Path, id: &str) -> io::Result<()> {
    let folder = runs.join(id);
    if check_id(id).is_err() || !folder.is_dir() || folder.join("spec.json").exists() {
        return Ok(());
    }
    fs::remove_dir_all(folder)
}

/// An id is the name of a folder: no path, nothing hidden, and nothing that a terminal or a shell would read as something else.
fn check_id(id: &str) -> Result<(), RunError> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
    let is_good = (1..=LONGEST_ID).contains(&id.len()) && id.chars().all(is_plain) && !id.starts_with(['.', '-', '@']);
    if is_good { Ok(()) } else { Err(RunError::BadId { id: id.to_owned() }) }
}

/// Writes a file that stays, with its name, whatever happens to the machine next.
pub(crate) fn write_synced(folder: &Path, name: &str, value: &impl Serialize) -> io::Result<()> {
    let new = write_aside(folder, name, value)?;
    File::open(&new)?.sync_all()?;
    fs::rename(new, folder.join(name))?;
    sync_folder(folder)
}

/// Writes a file whole. It may be lost when the power goes.
pub(crate) fn replace(folder: &Path, name: &str, value: &impl Serialize) -> io::Result<()> {
    fs::rename(write_aside(folder, name, value)?, folder.join(name))
}

/// Writes a file that must not be there yet. It may be lost when the power goes.
pub(crate) fn create_new(folder: &Path, name: &str, value: &impl Serialize) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(folder.join(name))?;
    file.write_all(&text_of(value)?)
}

/// Has the names in a folder stay.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<T, RunError> {
    let text = fs::read(path).map_err(|source| RunError::Folder { path: path.to_owned(), wanted: "can't be read", source })?;
    serde_json::from_slice(&text).map_err(|source| RunError::Damaged { path: path.to_owned(), source })
}

/// Returns the time of day in Unix microseconds.
pub fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

fn write_aside(folder: &Path, name: &str, value: &impl Serialize) -> io::Result<PathBuf> {
    // Launcher, helper and command may write at the same time.
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
    fn an_id_is_one_plain_word_and_is_given_once() {
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
    fn a_file_is_there_whole_or_not_at_all() {
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
