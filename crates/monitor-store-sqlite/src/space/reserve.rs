//! Files in the data folder that keep disk blocks for writes that must succeed on a full disk.
//!
//! The large reserve is for deletions. The small reserve is for starting, for the audit log, and for tokens and logins. Each operation uses
//! its own reserve first and then the other. A reserve is cut in steps, so that a write uses about the bytes that it needs and leaves the
//! rest for the next write, even if another program takes every byte that becomes free.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use monitor_store::retention::bytes;

use super::measure;

/// Minimum number of bytes that a cut removes from a reserve.
const STEP: u64 = 256 << 10;
/// Bytes that stay free for files without a reserve of their own while the small reserve is filled up again.
const SPARE: u64 = 64 << 10;
/// Free bytes that a start needs: the shared memory and the logs of three databases, and a few small files.
const START: u64 = 1 << 20;

/// One of the two reserves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserve {
    /// For deletions.
    Large,
    /// For starting, auditing, tokens and logins.
    Small,
}

impl Reserve {
    pub(super) fn file(self) -> &'static str {
        match self {
            Self::Large => "reserve",
            Self::Small => "reserve-small",
        }
    }

    /// Frees a part of this reserve, or of the other reserve if nothing is left of it. Returns false if nothing is left of either.
    pub(crate) fn release_some(self, folder: &Path) -> bool {
        let other = if self == Self::Large { Self::Small } else { Self::Large };
        self.cut(folder) || other.cut(folder)
    }

    /// Halves the file, by at least [`STEP`]. Returns false if there is none.
    fn cut(self, folder: &Path) -> bool {
        let path = folder.join(self.file());
        let Ok(size) = path.metadata().map(|file| file.len()) else { return false };
        let rest = (size / 2).min(size.saturating_sub(STEP));
        let cut =
            if rest == 0 { fs::remove_file(&path) } else { File::options().write(true).open(&path).and_then(|file| file.set_len(rest)) };
        match cut {
            Ok(()) => tracing::warn!(
                "the disk of {} is full: {} of the file {} there are released for writes that must succeed",
                folder.display(),
                bytes(size - rest),
                self.file()
            ),
            Err(ref error) => tracing::warn!(%error, path = %path.display(), "could not release the reserve of a full disk"),
        }
        cut.is_ok()
    }

    /// Creates the file, with all its blocks on the disk, or extends it to `size`. A larger file stays as it is.
    pub(super) fn make(self, folder: &Path, size: u64) -> io::Result<()> {
        let path = folder.join(self.file());
        let before = path.metadata().map_or(0, |file| file.len());
        if before >= size {
            return Ok(());
        }
        let mut file = crate::open_private(&path)?;
        let made = (|| {
            #[cfg(target_os = "linux")]
            if rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), before, size - before).is_ok() {
                return Ok(());
            }
            io::Seek::seek(&mut file, io::SeekFrom::Start(before))?;
            io::copy(&mut io::Read::take(io::repeat(0), size - before), &mut file)?;
            file.flush()
        })();
        // Blocks of a failed attempt must not stay allocated.
        made.inspect_err(|_| drop(if before == 0 { fs::remove_file(&path) } else { file.set_len(before) }))
    }
}

/// Extends the small reserve to `size`, or as far as there is space on a disk that is nearly full.
pub(super) fn fill_small(folder: &Path, free: u64, size: u64) {
    let before = folder.join(Reserve::Small.file()).metadata().map_or(0, |file| file.len());
    let size = size.min(before.saturating_add(free.saturating_sub(SPARE)));
    if let Err(error) = Reserve::Small.make(folder, size) {
        tracing::debug!(%error, "could not make the small reserve");
    }
}

/// Releases parts of the reserves of a data folder until a start has the space that it needs.
pub fn make_room_to_start(folder: &Path) {
    while measure(folder).is_some_and(|(free, _)| free < START) && Reserve::Small.release_some(folder) {}
}

/// Calls `write`. While it fails because the disk of the data folder is full, this releases a part of the reserves and calls it again.
///
/// # Errors
/// Returns the error of `write`, if it also fails with the reserves.
pub fn with_reserve<T, E>(
    folder: &Path,
    reserve: Reserve,
    mut write: impl FnMut() -> Result<T, E>,
    is_full: impl Fn(&E) -> bool,
) -> Result<T, E> {
    loop {
        match write() {
            Err(error) if is_full(&error) && reserve.release_some(folder) => {}
            result => return result,
        }
    }
}
