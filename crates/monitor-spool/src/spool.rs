//! The spool: a folder with a subfolder for each program of a user.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::folder::{self, Folder};
use crate::lock::Lock;
use crate::program::About;
use crate::room::Room;
use crate::sys::Dir;
use crate::wire::Registered;
use crate::{ClockSample, Journal, Lane, Pieces, Program, SpoolError};

/// Returns the default path: `monitor/spool` in the platform's state folder.
pub fn default_dir() -> Option<PathBuf> {
    state_dir().map(|state| state.join("monitor").join("spool"))
}

#[cfg(feature = "read")]
fn state_dir() -> Option<PathBuf> {
    use etcetera::BaseStrategy;

    let folders = etcetera::base_strategy::choose_native_strategy().ok()?;
    Some(folders.state_dir().unwrap_or_else(|| folders.data_dir()))
}

/// Returns the same folder, without a library.
#[cfg(any(test, not(feature = "read")))]
fn plain_state_dir() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if cfg!(windows) {
        return absolute("APPDATA");
    }
    let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
    if cfg!(target_vendor = "apple") {
        return Some(home?.join("Library/Application Support"));
    }
    absolute("XDG_STATE_HOME").or_else(|| Some(home?.join(".local/state")))
}

#[cfg(not(feature = "read"))]
use plain_state_dir as state_dir;

/// Returns the path for a setting: `None` for `off`, the [default](default_dir) for an empty or missing value.
pub fn dir_of(setting: Option<&OsStr>) -> Option<PathBuf> {
    let dir = setting.unwrap_or_default();
    match dir.to_str().map(str::trim) {
        Some("") => default_dir(),
        Some(off) if off.eq_ignore_ascii_case("off") => None,
        _ => Some(dir.into()),
    }
}

/// The folder of all programs of a user. It is trusted only if it belongs to the user, is not a symbolic link, and is not writable by
/// others.
#[derive(Debug, Clone)]
pub struct Spool {
    pub(crate) dir: Arc<Dir>,
}

/// Parts of a new folder.
#[derive(Debug)]
pub struct Begun {
    /// The folder. Its lock is held until this is dropped.
    pub folder: Arc<Folder>,
    /// Writer of the program's description and state.
    pub program: Program,
    /// Numbered batches.
    pub journal: Journal,
    /// Storage for records that go through the queue.
    pub lane: Lane,
    /// Memory for rings.
    pub pieces: Pieces,
}

impl Spool {
    /// Opens the spool in a folder, which is created if it does not exist.
    ///
    /// # Errors
    /// If the folder can't be created, or is not trusted.
    pub fn open(path: &Path) -> Result<Self, SpoolError> {
        Dir::make_all(path).map_err(SpoolError::disk("create", path))?;
        Self::trusted(path)
    }

    pub(crate) fn trusted(path: &Path) -> Result<Self, SpoolError> {
        let untrusted = |why| SpoolError::Untrusted { path: path.to_owned(), why };
        let dir = Dir::open(path).map_err(|source| match source.raw_os_error() {
            Some(libc::ELOOP | libc::ENOTDIR) => untrusted("it is a symbolic link, or no folder"),
            _ => SpoolError::disk("open", path)(source),
        })?;
        let status = dir.status().map_err(SpoolError::disk("look at", path))?;
        if !status.is_own {
            return Err(untrusted("it belongs to another user"));
        }
        if status.mode & 0o022 != 0 {
            return Err(untrusted("others may write to it"));
        }
        Ok(Self { dir: Arc::new(dir) })
    }

    /// Returns the path of the spool.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Creates the folder of this program with a size limit. `layout` is the version of the memory layout of the pieces.
    ///
    /// # Errors
    /// If a file operation fails, or the limit is too small for the call sites.
    pub fn begin(
        &self,
        about: &About,
        sites: impl Iterator<Item = Registered>,
        layout: u64,
        clock: ClockSample,
        limit_bytes: u64,
    ) -> Result<Begun, SpoolError> {
        let worker = about.worker.id;
        // The folder gets its final name only when it is locked and the program file is written, so that no other process sees it earlier.
        let (hidden, name) = (format!(".new-{worker}"), worker.to_string());
        self.dir.make_in(&hidden).map_err(SpoolError::disk("create", self.path().join(&hidden)))?;
        let made = self.fill(&hidden, about, sites, layout, clock, limit_bytes).and_then(|(folder, program)| {
            self.dir.rename_in(&hidden, &name).map_err(SpoolError::disk("rename", self.path().join(&hidden)))?;
            Ok((folder, program))
        });
        let (folder, program) = made.inspect_err(|_| {
            if let Ok(dir) = self.dir.open_in(&hidden) {
                let _ = folder::delete(&self.dir, &dir, &hidden);
            }
        })?;
        Ok(Begun {
            journal: Journal::new(folder.clone()),
            lane: Lane::new(folder.clone()),
            pieces: Pieces::new(folder.clone()),
            folder,
            program,
        })
    }

    fn fill(
        &self,
        hidden: &str,
        about: &About,
        sites: impl Iterator<Item = Registered>,
        layout: u64,
        clock: ClockSample,
        limit_bytes: u64,
    ) -> Result<(Arc<Folder>, Program), SpoolError> {
        let dir = self.dir.open_in(hidden).map_err(SpoolError::disk("open", self.path().join(hidden)))?;
        let lock = Lock::make(&dir).map_err(SpoolError::disk("lock", dir.path()))?;
        let dir = dir.renamed(self.path().join(about.worker.id.to_string()));
        let folder = Arc::new(Folder::new(self.dir.clone(), dir, about.worker.id, Room::new(limit_bytes), lock));
        let program = Program::make(&folder, about, sites, layout, clock)?;
        Ok((folder, program))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_functions_find_the_same_state_folder() {
        assert_eq!(plain_state_dir(), state_dir());
    }

    #[test]
    fn a_setting_selects_the_folder_of_the_spool() {
        for nothing in [None, Some(""), Some("  ")] {
            assert_eq!(dir_of(nothing.map(AsRef::as_ref)), default_dir(), "{nothing:?}");
        }
        for off in ["off", "OFF", " Off "] {
            assert_eq!(dir_of(Some(off.as_ref())), None, "{off:?}");
        }
        assert_eq!(dir_of(Some("a folder".as_ref())), Some(PathBuf::from("a folder")));
    }
}
