//! Errors of a store.

use std::error::Error;
use std::path::PathBuf;

use crate::retention::bytes;

/// An error of a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database was written by a newer version.
    #[error("the database at {} was written by a newer version (schema {found}, this build knows {known}): use that version, or another --data folder", path.display())]
    TooNew {
        /// Path of the database.
        path: PathBuf,
        /// Schema version of the database.
        found: u32,
        /// Newest schema version that this build supports.
        known: u32,
    },
    /// The database was written by a development version before 0.1.0, or by another version that is too old to be upgraded.
    #[error(
        "the database {} has schema {found}, and version {} reads schema {oldest} and later; nothing was changed. To start afresh, move the \
         data folder away or choose another --data folder. To keep the trees, run the version that wrote them on this folder, a server of this \
         version on another one, and bring the trees over with `monitor migrate`", path.display(), env!("CARGO_PKG_VERSION")
    )]
    TooOld {
        /// Path of the database.
        path: PathBuf,
        /// Schema version of the database.
        found: u32,
        /// Oldest schema version that can be read.
        oldest: u32,
    },
    /// The data folder is in use by another server.
    #[error("the data folder {} is in use by another server: stop that server, or choose another --data folder", path.display())]
    Locked {
        /// Path of the data folder.
        path: PathBuf,
    },
    /// The file is a database of another program.
    #[error("{} is a database of another program: choose another --data folder", path.display())]
    Foreign {
        /// Path of the database.
        path: PathBuf,
    },
    /// The file can't be read as a database.
    #[error("{} is damaged or no database: restore it from a backup, or move it away to begin anew", path.display())]
    Damaged {
        /// Path of the database.
        path: PathBuf,
        /// Error that the database returned.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The database lacks changes that were acknowledged.
    #[error(
        "{} has changes up to number {found}, and {acknowledged} were acknowledged: it, or the file of the same name with `-wal`, was \
         deleted, damaged, or replaced by an older one. Nothing was changed. Put a backup in its place with `monitor restore`, get out what \
         can be read with `monitor salvage`, or delete {} to go on with the changes that it has", path.display(), mark.display()
    )]
    Behind {
        /// Path of the database.
        path: PathBuf,
        /// Number of the newest change in the database.
        found: u64,
        /// Number of the newest change that was acknowledged.
        acknowledged: u64,
        /// Path of the file that contains the acknowledged number.
        mark: PathBuf,
    },
    /// A file was deleted or replaced while it was open.
    #[error(
        "{} was deleted or replaced while the server has it open: nothing is acknowledged any more. Put the same file back if it was \
         moved; else stop the server, and restore a backup", path.display()
    )]
    Removed {
        /// Path of the file.
        path: PathBuf,
    },
    /// The database was found to be damaged while it was open.
    #[error(
        "{} is damaged ({problem}): nothing is stored in it any more. Stop the server, look with `monitor check`, and restore a backup or \
         get out what can be read with `monitor salvage`", path.display()
    )]
    Broken {
        /// Path of the database.
        path: PathBuf,
        /// Description of the damage.
        problem: String,
    },
    /// There is not enough disk space for the copy that is made before a migration.
    #[error(
        "the database must be brought from schema {found} up to date, and the copy of it that is made before, {}, needs {}, where {} are \
         free: free some space, or copy it elsewhere with `monitor backup` and set `migration-copy` to false", path.display(), bytes(*needed), bytes(*free)
    )]
    NoRoomToCopy {
        /// Path at which the copy would be made.
        path: PathBuf,
        /// Schema version of the database.
        found: u32,
        /// Size of the copy in bytes.
        needed: u64,
        /// Free disk space in bytes.
        free: u64,
    },
    /// There is not enough disk space for a copy next to the database.
    #[error(
        "a copy of the database takes {}, and {} are free in {folder}, where {} have to stay free (the server's setting \
         `min-free-bytes`): free some space there, or copy it onto another disk with `monitor backup FILE --data {folder}`",
        bytes(*needed), bytes(*free), bytes(*least), folder = path.parent().unwrap_or(path).display()
    )]
    NoRoomForBackup {
        /// Path at which the copy would be made.
        path: PathBuf,
        /// Size of the copy in bytes.
        needed: u64,
        /// Free disk space in bytes.
        free: u64,
        /// Disk space that must stay free, in bytes.
        least: u64,
    },
    /// The target file exists already.
    #[error("{} is there already: name another file, or move the existing file away", path.display())]
    Exists {
        /// Path of the file.
        path: PathBuf,
    },
    /// There is no database to copy or check.
    #[error("there is no database at {}: check the path, or name the data folder with --data", path.display())]
    Missing {
        /// Path at which the database was expected.
        path: PathBuf,
    },
    /// The backup is incomplete or damaged.
    #[error("{} is not whole, and is not taken: {problem}", path.display())]
    Unsound {
        /// Path of the backup.
        path: PathBuf,
        /// Description of the first problem that was found.
        problem: String,
    },
    /// The cursor was not created by this store.
    #[error("{cursor:?} is no cursor of this list: take `next_cursor` of the page before as it is")]
    Cursor {
        /// The cursor as it was received.
        cursor: String,
    },
    /// The disk has less free space than must stay free.
    #[error(
        "the disk of {} has {} left, {} have to stay free (the server's setting `min-free-bytes`), and storing the sent data may take {}: \
         free some space there, delete trees, or set it lower", path.display(), bytes(*free), bytes(*least), bytes(*needed)
    )]
    NoRoom {
        /// Path of the data folder.
        path: PathBuf,
        /// Free disk space in bytes.
        free: u64,
        /// Disk space that must stay free, in bytes.
        least: u64,
        /// Bytes that the database's log and the refused batches may add to the files.
        needed: u64,
    },
    /// A file operation failed.
    #[error("could not {action} {}", path.display())]
    Disk {
        /// The operation, as a verb for the message.
        action: &'static str,
        /// Path of the file or folder.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// A database operation failed.
    #[error("the database failed to {action}")]
    Database {
        /// The operation, as a verb for the message.
        action: &'static str,
        /// Expected result of trying the operation again.
        failure: Failure,
        /// Error that the database returned.
        source: Box<dyn Error + Send + Sync>,
    },
}

/// Expected result of trying a failed database operation again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The disk is full. The operation may succeed later.
    Full,
    /// The operation may succeed later.
    Passing,
    /// The operation will fail again.
    Lasting,
}

impl StoreError {
    /// Returns true if the same batch may be stored later: the disk is full or fails, or the database is damaged or was removed, but
    /// nothing is wrong with the batch.
    pub fn is_passing(&self) -> bool {
        if let Self::Database { failure, .. } = self { *failure != Failure::Lasting } else { self.is_lasting() }
    }

    /// Returns true if trying again is useless until [`Intake::look`](super::Intake::look) succeeds.
    pub fn is_lasting(&self) -> bool {
        matches!(self, Self::NoRoom { .. } | Self::Removed { .. } | Self::Broken { .. })
    }

    /// Returns true if the disk is full, or has less free space than must stay free.
    pub fn is_for_room(&self) -> bool {
        matches!(self, Self::NoRoom { .. }) || self.is_full()
    }

    /// Returns true if a full disk may be the cause. SQLite reports an I/O error if the disk has no space for the shared memory of its log,
    /// so every database failure that may pass counts.
    pub fn may_be_full(&self) -> bool {
        match self {
            Self::Database { failure, .. } => *failure != Failure::Lasting,
            Self::Disk { source, .. } => source.kind() == std::io::ErrorKind::StorageFull,
            _ => false,
        }
    }

    /// Returns true if the disk is full.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Database { failure: Failure::Full, .. })
    }
}
