//! Uses inotify to detect changes in a folder, so that the agent doesn't have to read thousands of files every second.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::fs::{FsWord, stat, statfs};
use rustix::io::{Errno, read};

/// File systems that only this kernel changes, by their magic numbers in `statfs(2)`. On other file systems, such as network file systems,
/// files can change without an inotify event.
const LOCAL: [FsWord; 7] = [
    0xef53,      // ext2, ext3, ext4
    0x5846_5342, // XFS
    0x9123_683e, // Btrfs
    0xf2f5_2010, // F2FS
    0x2fc1_2fc1, // ZFS
    0x0102_1994, // tmpfs
    0x794c_7630, // overlayfs: what containers write is theirs alone
];

/// Maximum time between two reads of a folder, even without an event. Writes through a memory mapping cause no event.
const ANYWAY: Duration = Duration::from_secs(60);

/// A watch on a folder. It detects the first change, and is then replaced by a new watch.
#[derive(Debug)]
pub(crate) struct Watch {
    events: OwnedFd,
    /// Device and inode of the folder, because the path may lead to a different folder later.
    folder: (u64, u64),
    since: Instant,
}

impl Watch {
    /// Starts to watch a folder. `None` if its file system doesn't report all changes, or the limit on inotify watches is reached.
    pub(crate) fn over(folder: &Path) -> Option<Self> {
        let changes = WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MODIFY
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::ATTRIB
            | WatchFlags::MOVE
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF;
        if !LOCAL.contains(&statfs(folder).ok()?.f_type) {
            return None;
        }
        let events = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?;
        // If the path leads to a different folder after this call, the recorded identity belongs to the old folder. The first call of
        // `is_quiet` then detects the difference.
        let before = identity(folder)?;
        inotify::add_watch(&events, folder, changes).ok()?;
        Some(Self { events, folder: before, since: Instant::now() })
    }

    /// Returns true if the path still leads to the folder and nothing in the folder has changed. Returns false once the watch is older than 60
    /// seconds.
    pub(crate) fn is_quiet(&self, folder: &Path) -> bool {
        let is_untold = matches!(read(&self.events, &mut [0; 512]), Err(Errno::AGAIN));
        is_untold && identity(folder) == Some(self.folder) && self.since.elapsed() < ANYWAY
    }
}

/// Returns the device and inode of a file or folder. `None` if it can't be read.
pub(crate) fn identity(folder: &Path) -> Option<(u64, u64)> {
    stat(folder).ok().map(|found| (found.st_dev, found.st_ino))
}

#[cfg(test)]
mod tests {
    use std::{fs, io};

    use super::*;

    #[test]
    fn a_watch_is_quiet_until_a_file_is_written_made_renamed_or_removed() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|name| folder.path().join(name));
        let quiet = || {
            let watch = Watch::over(folder.path()).expect("the tests' folder lies on a local file system");
            assert!(watch.is_quiet(folder.path()));
            watch
        };
        let changes: [fn(&Path, &Path) -> io::Result<()>; 4] =
            [|a, _| fs::write(a, "made"), |a, _| fs::write(a, "written"), |a, b| fs::rename(a, b), |_, b| fs::remove_file(b)];
        for change in changes {
            let watch = quiet();
            change(&a, &b).unwrap();
            assert!(!watch.is_quiet(folder.path()));
        }
        let watch = quiet();
        fs::rename(folder.path(), folder.path().with_extension("moved")).unwrap();
        assert!(!watch.is_quiet(folder.path()), "the path leads nowhere");
        fs::rename(folder.path().with_extension("moved"), folder.path()).unwrap();
    }

    #[test]
    fn file_systems_without_change_notifications_are_not_watched() {
        assert!(Watch::over(Path::new("/proc")).is_none());
        assert!(Watch::over(Path::new("/nowhere")).is_none());
    }
}
