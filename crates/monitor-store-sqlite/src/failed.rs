//! Conversion of `SQLite` errors to store errors.

use std::path::Path;

use monitor_store::{Failure, StoreError};
use rusqlite::ErrorCode::{
    CannotOpen, DatabaseBusy, DatabaseCorrupt, DatabaseLocked, DiskFull, NotADatabase, OutOfMemory, SystemIoFailure,
};

/// Returns the error of a database on which an action failed.
pub(super) fn failed(action: &'static str, source: rusqlite::Error) -> StoreError {
    let failure = match source.sqlite_error_code() {
        Some(DiskFull) => Failure::Full,
        Some(CannotOpen | DatabaseBusy | DatabaseLocked | OutOfMemory | SystemIoFailure) => Failure::Passing,
        _ => Failure::Lasting,
    };
    StoreError::Database { action, failure, source: source.into() }
}

/// Returns the error of a database that could not be opened.
pub(super) fn failed_to_open(source: rusqlite::Error, path: &Path) -> StoreError {
    if is_damage(&source) { StoreError::Damaged { path: path.to_owned(), source: source.into() } } else { failed("open", source) }
}

/// Returns true if a full disk may be the cause: the shared memory of a log that has no room is reported as a failure of the disk.
pub(super) fn may_be_full(source: &rusqlite::Error) -> bool {
    matches!(source.sqlite_error_code(), Some(DiskFull | SystemIoFailure | CannotOpen))
}

/// Returns true if the file is damaged or not a database.
pub(super) fn is_damage(source: &rusqlite::Error) -> bool {
    matches!(source.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
}
