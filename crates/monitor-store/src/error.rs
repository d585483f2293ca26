//! Why a store fails, and whether the same may go well later.

use std::error::Error;
use std::path::PathBuf;

use crate::retention::bytes;

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database is of a newer build.
    #[error("the database at {} was written by a newer version (schema {found}, this build knows {known}): use that version, or another --data folder", path.display())]
    TooNew {
        /// The database.
        path: PathBuf,
        /// Its schema.
        found: u32,
        /// The newest schema known here.
        known: u32,
    },
    /// The database was written by a development version before 0.1.0, or by a version that this one no longer upgrades.
    #[error(
        "the database {} has schema {found}, and version {} reads schema {oldest} and later; nothing was changed. To start afresh, move the \
         data folder away or choose another --data folder. To keep the trees, run the version that wrote them on this folder, a server of this \
         version on another one, and bring the trees over with `monitor migrate`", path.display(), env!("CARGO_PKG_VERSION")
    )]
    TooOld {
        /// The database.
        path: PathBuf,
        /// Its schema.
        found: u32,
        /// The oldest schema that is read.
        oldest: u32,
    },
    /// Another server has it.
    #[error("the data folder {} is in use by another server: stop that one, or choose another --data folder", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// A database of something else.
    #[error("{} is a database of another program: choose another --data folder", path.display())]
    Foreign {
        /// The database.
        path: PathBuf,
    },
    /// Not readable as a database.
    #[error("{} is damaged or no database: restore it from a backup, or move it away to begin anew", path.display())]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<dyn Error + Send + Sync>,
    },
    /// It lacks what was acknowledged.
    #[error(
        "{} has changes up to number {found}, and {acknowledged} were acknowledged: it, or the file of the same name with `-wal`, was \
         deleted, damaged, or replaced by an older one. Nothing was changed. Put a backup in its place with `monitor restore`, get out what \
         can be read with `monitor salvage`, or delete {} to go on with what is left", path.display(), mark.display()
    )]
    Behind {
        /// The database.
        path: PathBuf,
        /// The newest change that it has.
        found: u64,
        /// The newest one that was acknowledged.
        acknowledged: u64,
        /// The file that says so.
        mark: PathBuf,
    },
    /// A file was taken away while it was open.
    #[error(
        "{} was deleted or replaced while the server has it open: nothing is acknowledged any more. Put the same file back if it was \
         moved; else stop the server, and restore a backup", path.display()
    )]
    Removed {
        /// The file.
        path: PathBuf,
    },
    /// It turned out to be damaged while it was open.
    #[error(
        "{} is damaged ({problem}): nothing is stored in it any more. Stop the server, look with `monitor check`, and restore a backup or \
         get out what can be read with `monitor salvage`", path.display()
    )]
    Broken {
        /// The database.
        path: PathBuf,
        /// As it was found.
        problem: String,
    },
    /// A copy before a migration has no room.
    #[error(
        "the database is to be brought from schema {found} up to date, and the copy of it that is made before, {}, needs {}, where {} are \
         free: free some space, or copy it elsewhere with `monitor backup` and set `migration-copy` to false", path.display(), bytes(*needed), bytes(*free)
    )]
    NoRoomToCopy {
        /// Where the copy would be.
        path: PathBuf,
        /// The schema that the database has.
        found: u32,
        /// How many bytes the copy takes.
        needed: u64,
        /// How many are free.
        free: u64,
    },
    /// A copy beside the database has no room.
    #[error(
        "a copy of the database takes {}, and {} are free in {folder}, of which {} have to stay free (the server's setting \
         `min-free-bytes`): free some space there, or copy it onto another disk with `monitor backup FILE --data {folder}`",
        bytes(*needed), bytes(*free), bytes(*least), folder = path.parent().unwrap_or(path).display()
    )]
    NoRoomForBackup {
        /// Where the copy would be.
        path: PathBuf,
        /// How many bytes the copy takes.
        needed: u64,
        /// How many are free.
        free: u64,
        /// How many have to be.
        least: u64,
    },
    /// A file is in the way.
    #[error("{} is there already: name another file, or move that one away", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// There is nothing to copy or check.
    #[error("there is no database at {}: say where with --data", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A backup that is not whole.
    #[error("{} is not whole, and is not taken: {problem}", path.display())]
    Unsound {
        /// The file.
        path: PathBuf,
        /// The first thing that is wrong with it.
        problem: String,
    },
    /// A cursor that this store did not make.
    #[error("{cursor:?} is no cursor of this list: take `next_cursor` of the page before as it is")]
    Cursor {
        /// As it came.
        cursor: String,
    },
    /// The disk has less room than has to stay free.
    #[error(
        "the disk of {} has {} left, {} have to stay free (the server's setting `min-free-bytes`), and storing what was sent may take {}: \
         free some space there, delete trees, or set it lower", path.display(), bytes(*free), bytes(*least), bytes(*needed)
    )]
    NoRoom {
        /// The data folder.
        path: PathBuf,
        /// Bytes that are free.
        free: u64,
        /// Bytes that have to stay free.
        least: u64,
        /// Bytes that the database's log and the refused batches may add to the files.
        needed: u64,
    },
    /// The disk.
    #[error("could not {action} {}", path.display())]
    Disk {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The database.
    #[error("the database failed to {action}")]
    Database {
        /// What was tried.
        action: &'static str,
        /// What that means for the same when it is tried again.
        failure: Failure,
        /// Why not.
        source: Box<dyn Error + Send + Sync>,
    },
}

/// What a failure of the database means for the same when it is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The disk has no room at all: it may go well later.
    Full,
    /// It may go well later.
    Passing,
    /// It fails again.
    Lasting,
}

impl StoreError {
    /// Returns true if the same may go well later: the disk is full, or fails, or the database is not as it should be, and nothing is
    /// wrong with the batch.
    pub fn is_passing(&self) -> bool {
        if let Self::Database { failure, .. } = self { *failure != Failure::Lasting } else { self.is_lasting() }
    }

    /// Returns true if trying again does no good before [`Intake::look`](super::Intake::look) says that all is well.
    pub fn is_lasting(&self) -> bool {
        matches!(self, Self::NoRoom { .. } | Self::Removed { .. } | Self::Broken { .. })
    }

    /// Returns true if the disk has no room, or less than has to stay free.
    pub fn is_for_room(&self) -> bool {
        matches!(self, Self::NoRoom { .. }) || self.is_full()
    }

    /// Returns true if a full disk may be the cause: the shared memory of a log that has no room is reported as a failure of the disk.
    pub fn may_be_full(&self) -> bool {
        match self {
            Self::Database { failure, .. } => *failure != Failure::Lasting,
            Self::Disk { source, .. } => source.kind() == std::io::ErrorKind::StorageFull,
            _ => false,
        }
    }

    /// Returns true if the disk has no room at all.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Database { failure: Failure::Full, .. })
    }
}
