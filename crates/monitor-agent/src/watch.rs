//! Asks the kernel whether a folder has changed, so that thousands of files need not be looked at each second.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::fs::{FsWord, stat, statfs};
use rustix::io::{Errno, read};

/// File systems whose changes this kernel makes itself, by their numbers in `statfs(2)`. On others, those of the network above all, files
/// change without a word.
const LOCAL: [FsWord; 7] = [
    0xef53,      // ext2, ext3, ext4
    0x5846_5342, // XFS
    0x9123_683e, // Btrfs
    0xf2f5_2010, // F2FS
    0x2fc1_2fc1, // ZFS
    0x0102_1994, // tmpfs
    0x794c_7630, // overlayfs: what containers write is theirs alone
];

/// A folder is looked at so often even if nothing was told of it: what is written into memory that maps a file isn't told.
const ANYWAY: Duration = Duration::from_secs(60);

/// The watch over one folder, until something changes in it.
#[derive(Debug)]
pub(crate) struct Watch {
    events: OwnedFd,
    /// Which folder it is: the path may lead to another one by now.
    folder: (u64, u64),
    since: Instant,
}

impl Watch {
    /// Watches a folder from now on. None if its file system doesn't tell, or the kernel has no more watches to give.
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
        // If the path is given to another folder in between, the number is of the old one, and the first question finds that out.
        let before = identity(folder)?;
        inotify::add_watch(&events, folder, changes).ok()?;
        Some(Self { events, folder: before, since: Instant::now() })
    }

    /// Returns true if the path still leads to the folder, and nothing in it has changed, for a minute at most.
    pub(crate) fn is_quiet(&self, folder: &Path) -> bool {
        let is_untold = matches!(read(&self.events, &mut [0; 512]), Err(Errno::AGAIN));
        is_untold && identity(folder) == Some(self.folder) && self.since.elapsed() < ANYWAY
    }
}

/// Which file or folder a path leads to.
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
    fn file_systems_that_do_not_tell_are_not_watched() {
        assert!(Watch::over(Path::new("/proc")).is_none());
        assert!(Watch::over(Path::new("/nowhere")).is_none());
    }
}
