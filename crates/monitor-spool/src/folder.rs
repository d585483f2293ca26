//! The folder of one program, held by this process.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use crate::SpoolError;
use crate::lock::Lock;
use crate::room::Room;
use crate::sys::{self, Dir};
use crate::wire::WorkerId;

/// A folder whose lock this process holds: its own, or that of a dead program. Files in it are bounded in bytes.
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

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Whose it is.
    pub fn worker(&self) -> WorkerId {
        self.worker
    }

    /// Bytes of what was put into it.
    pub fn used_bytes(&self) -> u64 {
        self.room.used()
    }

    /// What it is bounded by.
    pub fn limit_bytes(&self) -> u64 {
        self.room.limit()
    }

    pub(crate) fn dir(&self) -> &Dir {
        &self.dir
    }

    pub(crate) fn room(&self) -> &Room {
        &self.room
    }

    /// A new file of so many zeros, with room on the disk for all of them.
    pub(crate) fn make(&self, name: &str, bytes: u64) -> Result<File, SpoolError> {
        if !self.room.take(bytes) {
            return Err(self.full());
        }
        // Nothing is allocated unless it fails.
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

    /// Removes a file of so many bytes.
    pub(crate) fn remove(&self, name: &str, bytes: u64) {
        if self.dir.remove_file(name).is_ok() {
            self.room.give_back(bytes);
        }
    }

    /// Removes all but who it is and what is numbered, as nothing more will be. The memory in it stays usable.
    pub fn remove_memory(&self) {
        let is_memory = |name: &String| !["program", "lock"].contains(&name.as_str()) && !name.starts_with("journal-");
        for name in self.dir.names().unwrap_or_default().iter().filter(|name| is_memory(name)) {
            // What stays is found to be numbered by whoever reads it.
            let _ = self.dir.remove_file(name);
        }
    }

    /// Removes it with all that is in it: everything was taken, or shall be given up. The memory in it stays usable.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn delete(&self) -> Result<(), SpoolError> {
        delete(&self.spool, &self.dir, &self.worker.to_string())
    }
}

/// Removes a folder. Under another name first, so that nobody takes what is left if this breaks off.
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
