//! The data folder: owned by one user, held by one server.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use monitor_store::StoreError;

const LOCK: &str = "server.lock";

/// Held as long as the store is open; the operating system lets go of it when the server dies.
pub(super) struct Lock {
    _file: File,
}

/// Makes the folder if need be, readable by its owner alone, and locks it.
pub(super) fn lock(folder: &Path) -> Result<Lock, StoreError> {
    let disk = |action, path: &Path| {
        let path = path.to_owned();
        move |source: io::Error| StoreError::Disk { action, path, source }
    };
    create_private(folder).map_err(disk("create the data folder", folder))?;
    if let Some(mode) = others_may_write(folder) {
        let path = folder.display();
        tracing::warn!("other users of this machine may replace the files of the data folder {path} (mode {mode:04o}): chmod 700 {path}");
    }
    let path = folder.join(LOCK);
    let file = open_private(&path).map_err(disk("open the lock file", &path))?;
    match file.try_lock() {
        Ok(()) => {
            // The address of an earlier server no longer holds.
            file.set_len(0).map_err(disk("write", &path))?;
            Ok(Lock { _file: file })
        }
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked { path: folder.to_owned() }),
        Err(TryLockError::Error(source)) => Err(disk("lock", &path)(source)),
    }
}

/// Says into the lock file where the one who holds it serves.
///
/// # Errors
/// If the file can't be written.
pub fn serve_at(folder: &Path, url: &str) -> io::Result<()> {
    std::fs::write(folder.join(LOCK), url)
}

/// Where the folder is served; none if nobody holds its lock, or who does is no server.
pub fn served_at(folder: &Path) -> Option<String> {
    let path = folder.join(LOCK);
    let is_locked = File::open(&path).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)));
    if is_locked { std::fs::read_to_string(path).ok() } else { None }
}

/// Where the database is in the folder; made if need be, so that it and what is beside it are readable by their owner alone.
pub(super) fn database(folder: &Path) -> Result<PathBuf, StoreError> {
    let path = path(folder);
    open_private(&path).map_err(|source| StoreError::Disk { action: "open the database", path: path.clone(), source })?;
    Ok(path)
}

/// Where the database of a folder is.
pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join("monitor.db")
}

/// The same, if it is there.
pub(super) fn existing(folder: &Path) -> Result<PathBuf, StoreError> {
    let path = path(folder);
    if path.is_file() { Ok(path) } else { Err(StoreError::Missing { path }) }
}

/// The folder's mode, if others than its owner may make, rename and remove files in it.
fn others_may_write(folder: &Path) -> Option<u32> {
    #[cfg(unix)]
    let mode = std::os::unix::fs::PermissionsExt::mode(&folder.metadata().ok()?.permissions()) & 0o7777;
    #[cfg(not(unix))]
    let mode = { folder.metadata().map_or(0, |_| 0) };
    (mode & 0o022 != 0).then_some(mode)
}

/// Lets only its owner read a file.
pub(super) fn make_private(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Opens a file, made if need be, that its owner alone can read.
///
/// # Errors
/// If the file can't be opened.
pub fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Writes a file that its owner alone can read. Whoever reads it finds the old text or the whole new one, also after a crash.
///
/// # Errors
/// If the file can't be written.
pub fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    // A file that lies there may have other rights.
    let _ = std::fs::remove_file(&new);
    let mut file = open_private(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, path)
}

/// Makes a folder that its owner alone can enter, unless it is there.
///
/// # Errors
/// If the folder can neither be made nor be used.
pub fn create_private(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
