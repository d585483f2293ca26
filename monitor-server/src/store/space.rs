//! Room on the disk of the data folder: how much is left, how much has to stay, and a file that is given up when nothing is left.
//!
//! Batches are refused while less than `min-free-bytes` is free, so that whatever else has to be written still can be: a deletion, a
//! login, what a start writes. Other programs may fill the disk all the same. For that there is a file of a few MiB, the reserve, which
//! is removed when the server starts or changes something on a disk without room, and made again when there is room enough.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::StoreError;
use crate::retention::bytes;

/// So much stays free unless it is set otherwise, and no more than this part of the whole disk: one in so many.
pub(crate) const LEAST: u64 = 256 << 20;
const PART: u64 = 10;
/// The reserve has no more bytes than this, and no more than one in so many of those that have to stay free.
const RESERVE: u64 = 32 << 20;
const RESERVE_PART: u64 = 4;
/// So long may the log of the database become, as it mostly is.
const LOG: u64 = 64 << 20;
/// With less than this nothing can be written.
const NOTHING: u64 = 1 << 20;
const FILE: &str = "reserve";

/// The disk of a data folder.
#[derive(Debug)]
pub(crate) struct Space {
    folder: PathBuf,
    /// How much has to stay free, if it is set.
    least: Option<u64>,
    is_low: AtomicBool,
    was_warned: AtomicBool,
    has_reserve: AtomicBool,
}

/// Bytes of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    /// So many this user may still write.
    pub(crate) free: u64,
    /// So many have to stay free.
    pub(crate) least: u64,
}

/// How it stands with the room.
#[derive(Debug)]
pub(crate) enum Outlook {
    /// There is enough.
    Well,
    /// Not much is left.
    Near,
    /// Less is left than has to stay free.
    Low(StoreError),
}

impl Space {
    pub(crate) fn new(folder: &Path) -> Self {
        let (is_low, was_warned, has_reserve) = (AtomicBool::new(false), AtomicBool::new(false), AtomicBool::new(false));
        Self { folder: folder.to_owned(), least: None, is_low, was_warned, has_reserve }
    }

    /// Lets so much stay free; nothing for 0.
    pub(crate) fn keep(&mut self, least: Option<u64>) {
        self.least = least;
    }

    /// How much room there is; none where the system doesn't tell it.
    pub(crate) fn room(&self) -> Option<Room> {
        let (free, total) = measure(&self.folder)?;
        Some(Room { free, least: self.least.unwrap_or(LEAST.min(total / PART)) })
    }

    /// Looks how much room there is for a database whose log has so many bytes, which may have to be written into it. Warns while there
    /// is still some room, once, and makes the reserve when there is room for it.
    pub(crate) fn look(&self, log_bytes: u64) -> Outlook {
        let Some(Room { free, least }) = self.room() else { return Outlook::Well };
        // A little more makes it well again, so that it isn't low and well by turns.
        let is_low = free < least + if self.is_low.load(Ordering::Relaxed) { least / 16 } else { 0 };
        self.is_low.store(is_low, Ordering::Relaxed);
        if is_low {
            return Outlook::Low(StoreError::NoRoom { path: self.folder.clone(), free, least });
        }
        let reserve = (least / RESERVE_PART).min(RESERVE);
        if reserve > 0 && free >= least + reserve && !self.has_reserve.load(Ordering::Relaxed) {
            match make_reserve(&self.folder, reserve) {
                Ok(()) => self.has_reserve.store(true, Ordering::Relaxed),
                Err(error) => tracing::debug!(%error, "could not make the reserve"),
            }
        }
        let near = least.saturating_mul(2);
        if least > 0 && free < near.saturating_add(log_bytes) {
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
        if free >= near.saturating_add(LOG) {
            self.was_warned.store(false, Ordering::Relaxed);
        }
        if self.was_warned.load(Ordering::Relaxed) { Outlook::Near } else { Outlook::Well }
    }

    /// Gives the reserve up; false if there was none.
    pub(crate) fn release(&self) -> bool {
        self.has_reserve.store(false, Ordering::Relaxed);
        release(&self.folder)
    }
}

/// Gives up the reserve of a data folder if its disk has no room at all.
pub(crate) fn make_room(folder: &Path) {
    if measure(folder).is_some_and(|(free, _)| free < NOTHING) {
        release(folder);
    }
}

/// Gives up the reserve of a data folder if less than the reserve is free: whoever starts needs some room.
pub(crate) fn make_room_to_start(folder: &Path) {
    if measure(folder).is_some_and(|(free, _)| free < RESERVE) {
        release(folder);
    }
}

fn release(folder: &Path) -> bool {
    let released = fs::remove_file(folder.join(FILE)).is_ok();
    if released {
        tracing::warn!("the disk of {} is full: the reserve there is given up so that trees can be deleted", folder.display());
    }
    released
}

/// Makes the file, with all its blocks on the disk; one of the right size stays as it is.
fn make_reserve(folder: &Path, size: u64) -> io::Result<()> {
    let path = folder.join(FILE);
    if path.metadata().is_ok_and(|file| file.len() == size) {
        return Ok(());
    }
    let mut file = super::open_private(&path)?;
    let made = file.set_len(0).and_then(|()| {
        #[cfg(target_os = "linux")]
        if rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, size).is_ok() {
            return Ok(());
        }
        io::copy(&mut io::Read::take(io::repeat(0), size), &mut file)?;
        file.flush()
    });
    // Half a reserve is none.
    made.inspect_err(|_| drop(fs::remove_file(&path)))
}

/// Bytes that are free for this user, and all there are.
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
    use super::*;

    fn space(folder: &tempfile::TempDir, least: u64) -> Space {
        let mut space = Space::new(folder.path());
        space.keep(Some(least));
        space
    }

    #[test]
    fn what_has_to_stay_free_is_a_part_of_a_small_disk_unless_it_is_set() {
        let folder = tempfile::tempdir().unwrap();
        let (_, total) = measure(folder.path()).unwrap();
        assert_eq!(Space::new(folder.path()).room().unwrap().least, LEAST.min(total / 10));
        assert_eq!(space(&folder, 7).room().unwrap().least, 7);
        assert!(matches!(Space::new(&folder.path().join("nowhere")).look(0), Outlook::Well), "what can't be measured is not low");
    }

    #[test]
    fn batches_are_refused_below_the_least_and_the_reserve_is_kept_above_it() {
        let folder = tempfile::tempdir().unwrap();
        let reserve = folder.path().join(FILE);
        let low = space(&folder, u64::MAX / 4);
        let Outlook::Low(error) = low.look(0) else { panic!("it is low") };
        assert!(error.is_passing() && error.to_string().contains("min-free-bytes"), "{error}");
        assert!(!reserve.exists(), "a disk without room has none to reserve");
        let well = space(&folder, 1 << 20);
        assert!(matches!(well.look(0), Outlook::Well));
        assert!(matches!(well.look(u64::MAX / 4), Outlook::Near), "the log has no room in the file");
        let blocks = std::os::unix::fs::MetadataExt::blocks(&reserve.metadata().unwrap());
        assert!(blocks * 512 >= 1 << 18, "a quarter of what has to stay free is on the disk: {blocks} blocks");
        assert!(well.release() && !reserve.exists() && !well.release());
        assert!(matches!(well.look(0), Outlook::Well));
        assert!(reserve.exists(), "made again when there is room");
        assert!(matches!(space(&folder, 0).look(u64::MAX), Outlook::Well), "off");
    }
}
