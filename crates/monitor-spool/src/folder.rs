//! Folder of a program, locked by this process.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use crate::SpoolError;
use crate::lock::Lock;
use crate::room::Room;
use crate::sys::{self, Dir};
use crate::wire::WorkerId;

/// A folder whose lock this process holds: its own folder, or that of a dead program. The total size of its files is limited.
#[derive(Debug)]
pub struct Folder {
    spool: Arc<Dir>,
    dir: Dir,
    worker: WorkerId,
    room: Room,
    _lock: Lock,
}

impl Folder {
    pub(crate) fn new(spool: Arc<Dir>, dir: Dir, worker: WorkerId, room: Room, lock: Lock) -> Self {
        Self { spool, dir, worker, room, _lock: lock }
    }

    /// Returns the path of the folder.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Returns the worker that the folder belongs to.
    pub fn worker(&self) -> WorkerId {
        self.worker
    }

    /// Returns the number of bytes used.
    pub fn used_bytes(&self) -> u64 {
        self.room.used()
    }

    /// Returns the size limit.
    pub fn limit_bytes(&self) -> u64 {
        self.room.limit()
    }

    pub(crate) fn dir(&self) -> &Dir {
        &self.dir
    }

    pub(crate) fn room(&self) -> &Room {
        &self.room
    }

    /// Creates a zero-filled file of `bytes` bytes and allocates its disk blocks.
    pub(crate) fn make(&self, name: &str, bytes: u64) -> Result<File, SpoolError> {
        if !self.room.take(bytes) {
            return Err(self.full());
        }
        // The error message is allocated only on failure.
        let failed = |action| move |source| SpoolError::disk(action, self.path().join(name))(source);
        let made = self.dir.new_file(name).map_err(failed("create")).and_then(|file| {
            sys::allocate(&file, bytes).map(|()| file).map_err(|source| {
                let _ = self.dir.remove_file(name);
                failed("find room on the disk for")(source)
            })
        });
        made.inspect_err(|_| self.room.give_back(bytes))
    }

    pub(crate) fn full(&self) -> SpoolError {
        SpoolError::Full { path: self.path().to_owned(), limit_bytes: self.room.limit() }
    }

    pub(crate) fn rename(&self, from: &str, to: &str) -> Result<(), SpoolError> {
        self.dir.rename_in(from, to).map_err(|source| SpoolError::disk("rename", self.path().join(from))(source))
    }

    /// Removes a file of `bytes` bytes.
    pub(crate) fn remove(&self, name: &str, bytes: u64) {
        if self.dir.remove_file(name).is_ok() {
            self.room.give_back(bytes);
        }
    }

    /// Removes all files except the program's description and the journal, once no more records are numbered. Mapped memory stays usable.
    pub fn remove_memory(&self) {
        let is_memory = |name: &String| !["program", "lock"].contains(&name.as_str()) && !name.starts_with("journal-");
        for name in self.dir.names().unwrap_or_default().iter().filter(|name| is_memory(name)) {
            // If a file can't be removed, its reader finds that all its records are numbered.
            let _ = self.dir.remove_file(name);
        }
    }

    /// Removes the folder with its content, after everything was accepted or is given up. Mapped memory stays usable.
    ///
    /// # Errors
    /// If a file operation fails.
    pub fn delete(&self) -> Result<(), SpoolError> {
        delete(&self.spool, &self.dir, &self.worker.to_string())
    }
}

/// Removes a folder. It is renamed first, so that no process ships the remaining files if this is interrupted.
pub(crate) fn delete(spool: &Dir, dir: &Dir, name: &str) -> Result<(), SpoolError> {
    let gone = if name.starts_with('.') { name.to_owned() } else { format!(".gone-{name}") };
    let failed = || SpoolError::disk("remove", dir.path());
    if gone != name {
        spool.rename_in(name, &gone).map_err(failed())?;
    }
    let emptied = spool.open_in(&gone).map_err(failed())?;
    for file in emptied.names().map_err(failed())? {
        emptied.remove_file(&file).map_err(failed())?;
    }
    spool.remove_dir(&gone).map_err(failed())
}
