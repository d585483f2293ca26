//! Free space on the disk of the data folder: its size, its minimum, and reserves for a full disk.
//!
//! Batches are refused while less than `min-free-bytes` is free, so that everything else can still be written: a deletion, a login, the
//! files of a start. This is checked before every transaction, with the bytes that the transaction will write and those that a checkpoint
//! of the database's log still has to write. Other programs may fill the disk all the same; [`Reserve`] is for that.

mod reserve;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use monitor_store::retention::bytes;

pub use self::reserve::{Reserve, make_room_to_start, with_reserve};
use super::StoreError;

/// Default of `min-free-bytes` on a large disk. On a small disk it is one part in [`PART`] of the disk.
pub(crate) const LEAST: u64 = 256 << 20;
const PART: u64 = 10;
/// Largest size of the large reserve. It is at most one part in [`RESERVE_PART`] of the bytes that have to stay free.
const RESERVE: u64 = 32 << 20;
const RESERVE_PART: u64 = 4;
/// Largest size of the small reserve. On a small disk it is one part in [`SMALL_PART`] of the disk.
const SMALL: u64 = 1 << 20;
const SMALL_PART: u64 = 16;
/// Largest size of the database's log between two checkpoints. On a small disk it is one part in [`LOG_PART`] of the disk.
const LOG: u64 = 32 << 20;
const LOG_PART: u64 = 64;
/// A transaction writes about this many times the bytes of its batches: as rows and as pieces of the log of events, each of them first
/// into the database's log and then into its file.
const WRITTEN_PER_BYTE: u64 = 4;
/// Bytes that even a transaction of a small batch may write: pages of tables and indexes.
const TRANSACTION: u64 = 256 << 10;

/// The disk of a data folder.
#[derive(Debug)]
pub(crate) struct Space {
    folder: PathBuf,
    /// Bytes that have to stay free, if set.
    least: Option<u64>,
    is_low: AtomicBool,
    /// Bytes that the refused transaction was going to write. It is not tried again before there is room for it.
    refused: AtomicU64,
    was_warned: AtomicBool,
}

/// Bytes of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    /// Bytes that this user may still write.
    pub(crate) free: u64,
    /// Bytes that have to stay free.
    pub(crate) least: u64,
}

/// State of the free space.
#[derive(Debug)]
pub(crate) enum Outlook {
    /// There is enough.
    Well,
    /// Little is left.
    Near,
    /// Less is left than has to stay free.
    Low(StoreError),
}

impl Space {
    pub(crate) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            least: None,
            is_low: AtomicBool::new(false),
            refused: AtomicU64::new(0),
            was_warned: AtomicBool::new(false),
        }
    }

    /// Sets the bytes that have to stay free; 0 for none.
    pub(crate) fn keep(&mut self, least: Option<u64>) {
        self.least = least;
    }

    /// Returns the folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Measures the free space; `None` where the system doesn't report it.
    pub(crate) fn room(&self) -> Option<Room> {
        let (free, total) = measure(&self.folder)?;
        Some(Room { free, least: self.least.unwrap_or(LEAST.min(total / PART)) })
    }

    /// Returns the size of the database's log at which it is written back into the file.
    pub(crate) fn log_bytes(&self) -> u64 {
        measure(&self.folder).map_or(LOG, |(_, total)| LOG.min(total / LOG_PART))
    }

    /// Fails if batches of `batch_bytes` can't be stored while keeping the minimum free. `unwritten` is the number of bytes that a
    /// checkpoint of the log still adds to the database's file. `is_last` is true if smaller parts of the same batches can't be tried.
    pub(crate) fn admit(&self, batch_bytes: u64, unwritten: u64, is_last: bool) -> Result<(), StoreError> {
        let Some(Room { free, least }) = self.room() else { return Ok(()) };
        let written = batch_bytes.saturating_mul(WRITTEN_PER_BYTE).saturating_add(TRANSACTION);
        let needed = unwritten.saturating_add(written);
        if least == 0 || free >= least.saturating_add(needed) {
            return Ok(());
        }
        if is_last {
            self.is_low.store(true, Ordering::Relaxed);
            self.refused.store(written, Ordering::Relaxed);
        }
        Err(self.no_room(free, least, needed))
    }

    fn no_room(&self, free: u64, least: u64, needed: u64) -> StoreError {
        StoreError::NoRoom { path: self.folder.clone(), free, least, needed }
    }

    /// Checks the free space for a database with `unwritten` bytes in its log that a checkpoint adds to its file. Logs one warning while
    /// there is still some room, and makes the reserves when there is room for them.
    pub(crate) fn check(&self, unwritten: u64) -> Outlook {
        let Some(Room { free, least }) = self.room() else { return Outlook::Well };
        let total = measure(&self.folder).map_or(0, |(_, total)| total);
        reserve::fill_small(&self.folder, free, SMALL.min(total / SMALL_PART));
        // The state ends only at a higher level than it begins, so that it doesn't alternate.
        let was_low = self.is_low.load(Ordering::Relaxed);
        let refused = self.refused.load(Ordering::Relaxed);
        let needed = unwritten.saturating_add(if was_low { refused } else { 0 });
        let is_low = least > 0 && free < least.saturating_add(needed).saturating_add(if was_low { least / 16 } else { 0 });
        self.is_low.store(is_low, Ordering::Relaxed);
        if is_low {
            return Outlook::Low(self.no_room(free, least, needed));
        }
        self.refused.store(0, Ordering::Relaxed);
        let reserve = (least / RESERVE_PART).min(RESERVE);
        if free >= least.saturating_add(reserve)
            && let Err(error) = Reserve::Large.make(&self.folder, reserve)
        {
            tracing::debug!(%error, "could not make the reserve");
        }
        let near = least.saturating_mul(2);
        if least > 0 && free < near.saturating_add(unwritten) {
            if !self.was_warned.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    "the disk of {} fills up: {} are free, and below {} batches are refused (`min-free-bytes`): free some space there, or \
                     let trees go earlier (`retention-size`)",
                    self.folder.display(),
                    bytes(free),
                    bytes(least)
                );
            }
            return Outlook::Near;
        }
        // The log may grow again.
        if free >= near.saturating_add(2 * self.log_bytes()) {
            self.was_warned.store(false, Ordering::Relaxed);
        }
        if self.was_warned.load(Ordering::Relaxed) { Outlook::Near } else { Outlook::Well }
    }
}

/// Returns the bytes that are free for this user, and the size of the disk.
#[cfg(unix)]
fn measure(folder: &Path) -> Option<(u64, u64)> {
    let found = rustix::fs::statvfs(folder).ok()?;
    Some((found.f_bavail.saturating_mul(found.f_frsize), found.f_blocks.saturating_mul(found.f_frsize)))
}

#[cfg(not(unix))]
fn measure(_: &Path) -> Option<(u64, u64)> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;

    use super::*;

    fn space(folder: &tempfile::TempDir, least: u64) -> Space {
        let mut space = Space::new(folder.path());
        space.keep(Some(least));
        space
    }

    #[test]
    fn the_minimum_free_space_is_a_part_of_a_small_disk_unless_it_is_set() {
        let folder = tempfile::tempdir().unwrap();
        let (_, total) = measure(folder.path()).unwrap();
        assert_eq!(Space::new(folder.path()).room().unwrap().least, LEAST.min(total / 10));
        assert_eq!(space(&folder, 7).room().unwrap().least, 7);
        assert!(matches!(Space::new(&folder.path().join("nowhere")).check(0), Outlook::Well), "what can't be measured is not low");
    }

    #[test]
    fn batches_are_refused_below_the_minimum_and_the_reserve_is_kept_above_it() {
        let folder = tempfile::tempdir().unwrap();
        let reserve = folder.path().join(Reserve::Large.file());
        let low = space(&folder, u64::MAX / 4);
        let Outlook::Low(error) = low.check(0) else { panic!("it is low") };
        assert!(error.is_passing() && error.to_string().contains("min-free-bytes"), "{error}");
        assert!(!reserve.exists(), "a disk without room has none to reserve");
        let well = space(&folder, 1 << 20);
        assert!(matches!(well.check(0), Outlook::Well));
        assert!(matches!(space(&folder, 1 << 20).check(u64::MAX / 4), Outlook::Low(_)), "the log has no room in the file");
        let (other, (free, _)) = (tempfile::tempdir().unwrap(), measure(folder.path()).unwrap());
        assert!(matches!(space(&other, free / 4).check(free / 8 * 5), Outlook::Near), "the log takes most of what is left");
        let blocks = std::os::unix::fs::MetadataExt::blocks(&reserve.metadata().unwrap());
        assert!(blocks * 512 >= 1 << 18, "a quarter of what has to stay free is on the disk: {blocks} blocks");
        assert!(Reserve::Large.release_some(folder.path()) && !reserve.exists());
        assert!(Reserve::Large.release_some(folder.path()), "the small one");
        assert!(matches!(well.check(0), Outlook::Well));
        assert!(reserve.exists(), "made again when there is room");
        assert!(matches!(space(&folder, 0).check(u64::MAX), Outlook::Well), "off");
    }

    #[test]
    fn a_transaction_that_would_exceed_the_minimum_free_space_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (free, _) = measure(folder.path()).unwrap();
        let half = space(&folder, free / 2);
        half.admit(1 << 20, 0, true).unwrap();
        half.admit(free / 4, 0, false).unwrap_err();
        assert!(!matches!(half.check(0), Outlook::Low(_)), "smaller parts are tried first");
        half.admit(1 << 20, free, true).unwrap_err();
        let refused = half.admit(free / 4, 0, true).unwrap_err();
        assert!(refused.to_string().contains("min-free-bytes"), "{refused}");
        assert!(matches!(half.check(0), Outlook::Low(_)), "not tried again before there is room for it");
        space(&folder, 0).admit(u64::MAX, u64::MAX, true).unwrap();
    }

    #[test]
    fn a_full_disk_uses_up_both_reserves_in_steps() {
        let folder = tempfile::tempdir().unwrap();
        Reserve::Large.make(folder.path(), 1 << 20).unwrap();
        Reserve::Small.make(folder.path(), 1 << 20).unwrap();
        let size = |reserve: Reserve| fs::metadata(folder.path().join(reserve.file())).map_or(0, |file| file.len());
        let mut tries = 0;
        let full: Result<(), ()> = with_reserve(
            folder.path(),
            Reserve::Small,
            || {
                tries += 1;
                if size(Reserve::Small) > 0 {
                    assert_eq!(size(Reserve::Large), 1 << 20);
                }
                Err(())
            },
            |()| true,
        );
        assert_eq!((full, tries), (Err(()), 7), "three steps each");
        assert_eq!((size(Reserve::Small), size(Reserve::Large)), (0, 0));
    }
}
