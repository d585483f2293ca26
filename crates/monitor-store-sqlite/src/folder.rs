//! The data folder. It belongs to one user and is used by one server at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use monitor_store::StoreError;

const LOCK: &str = "server.lock";

/// Lock on the data folder, held while the store is open. The operating system releases it when the server dies.
pub(super) struct Lock {
    _file: File,
}

/// Locks the folder. Creates it if it doesn't exist, accessible only to its owner.
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
            // Removes the address of the previous server.
            file.set_len(0).map_err(disk("write", &path))?;
            Ok(Lock { _file: file })
        }
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked { path: folder.to_owned() }),
        Err(TryLockError::Error(source)) => Err(disk("lock", &path)(source)),
    }
}

/// Writes the address of the server into the lock file. The server must hold the lock.
///
/// # Errors
/// Returns an error if the file can't be written.
pub fn serve_at(folder: &Path, url: &str) -> io::Result<()> {
    std::fs::write(folder.join(LOCK), url)
}

/// Returns the address of the server that uses the folder. It is empty if the program that holds the lock has not written one. `None` if
/// the folder is not locked.
pub fn served_at(folder: &Path) -> Option<String> {
    let path = folder.join(LOCK);
    let is_locked = File::open(&path).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)));
    if is_locked { std::fs::read_to_string(path).ok() } else { None }
}

/// Returns the path of the database in the folder. Creates the file if it doesn't exist, so that only its owner can read it. `SQLite`
/// creates the files next to it with the same permissions.
pub(super) fn database(folder: &Path) -> Result<PathBuf, StoreError> {
    let path = path(folder);
    open_private(&path).map_err(|source| StoreError::Disk { action: "open the database", path: path.clone(), source })?;
    Ok(path)
}

/// Returns the path of the database in the folder.
pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join("monitor.db")
}

/// Returns the path of the database in the folder. Fails if it doesn't exist.
pub(super) fn existing(folder: &Path) -> Result<PathBuf, StoreError> {
    let path = path(folder);
    if path.is_file() { Ok(path) } else { Err(StoreError::Missing { path }) }
}

/// Returns the folder's mode if users other than its owner may create, rename and remove files in it.
fn others_may_write(folder: &Path) -> Option<u32> {
    #[cfg(unix)]
    let mode = std::os::unix::fs::PermissionsExt::mode(&folder.metadata().ok()?.permissions()) & 0o7777;
    #[cfg(not(unix))]
    let mode = { folder.metadata().map_or(0, |_| 0) };
    (mode & 0o022 != 0).then_some(mode)
}

/// Makes a file readable and writable only by its owner.
pub(super) fn make_private(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Opens a file for writing. Creates it if it doesn't exist, readable only by its owner.
///
/// # Errors
/// Returns an error if the file can't be opened.
pub fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Writes a file that only its owner can read. Readers find either the old text or the whole new text, also after a crash.
///
/// # Errors
/// Returns an error if the file can't be written.
pub fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    // An existing file may have other permissions.
    let _ = std::fs::remove_file(&new);
    let mut file = open_private(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, path)
}

/// Creates a folder that only its owner can enter, unless it exists.
///
/// # Errors
/// Returns an error if the folder can't be created.
pub fn create_private(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
