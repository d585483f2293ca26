//! Reads a folder that a run has written, without following links. A run of another user can change the folder at any time. For example, it can
//! replace a file with a link between a check and the read. Therefore each folder and file is opened relative to the open folder above it, and
//! is read through that file descriptor.

use std::ffi::{CStr, OsStr};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use nix::dir::Dir;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{Mode, fstatat};
use nix::unistd::{Uid, geteuid};

use super::folder::Size;

/// Maximum depth of nested folders.
const DEEPEST: usize = 64;
const FOLDER: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// An opened folder.
#[derive(Debug)]
pub(crate) struct Tree {
    folder: File,
    /// Owner of the folder, if it is a different user than that of this program.
    other: Option<Uid>,
}

/// Type of a folder entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Folder,
    File,
    Link,
    /// A pipe, a socket or a device.
    Other,
}

/// A file, folder or link below an opened folder.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    /// Path below the opened folder.
    pub(crate) path: &'a Path,
    pub(crate) kind: Kind,
    /// Size in bytes. For a link, the length of its target path.
    pub(crate) bytes: u64,
    /// Permission bits, without the set-user-ID, set-group-ID and sticky bits.
    pub(crate) mode: u32,
    within: BorrowedFd<'a>,
    name: &'a CStr,
    other: Option<Uid>,
}

impl Tree {
    /// Opens a folder. Returns an error if the path is a link.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let flags = (OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW).bits();
        let folder = OpenOptions::new().read(true).custom_flags(flags).open(folder)?;
        let owner = Uid::from_raw(folder.metadata()?.uid());
        Ok(Self { folder, other: Some(owner).filter(|owner| *owner != geteuid()) })
    }

    /// Returns the owner of the folder, if it is a different user than that of this program.
    pub(crate) fn other(&self) -> Option<Uid> {
        self.other
    }

    /// Returns the permission bits of the folder.
    pub(crate) fn mode(&self) -> io::Result<u32> {
        Ok(self.folder.metadata()?.mode() & 0o777)
    }

    /// Visits all entries below the folder, and each folder before its contents. Stops when `visit` returns false.
    pub(crate) fn walk(&self, visit: &mut dyn FnMut(&Entry<'_>) -> io::Result<bool>) -> io::Result<()> {
        let own = openat(&self.folder, ".", FOLDER, Mode::empty())?;
        self.below(&own, &mut PathBuf::new(), 0, visit).map(drop)
    }

    fn below(
        &self,
        folder: &OwnedFd,
        path: &mut PathBuf,
        depth: usize,
        visit: &mut dyn FnMut(&Entry<'_>) -> io::Result<bool>,
    ) -> io::Result<bool> {
        if depth > DEEPEST {
            return Err(io::Error::other(format!("{} is {depth} folders deep, and {DEEPEST} are read", path.display())));
        }
        let listed = Dir::from_fd(folder.try_clone()?)?;
        for entry in listed {
            let entry = entry?;
            let name = entry.file_name();
            if [c".", c".."].contains(&name) {
                continue;
            }
            let about = fstatat(folder, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
            let kind = match about.st_mode & libc::S_IFMT {
                libc::S_IFDIR => Kind::Folder,
                libc::S_IFREG => Kind::File,
                libc::S_IFLNK => Kind::Link,
                _ => Kind::Other,
            };
            path.push(OsStr::from_bytes(name.to_bytes()));
            let (bytes, mode, within) = (u64::try_from(about.st_size).unwrap_or_default(), about.st_mode & 0o777, folder.as_fd());
            let goes_on = visit(&Entry { path, kind, bytes, mode, within, name, other: self.other })?
                && (kind != Kind::Folder || self.below(&openat(folder, name, FOLDER, Mode::empty())?, path, depth + 1, visit)?);
            path.pop();
            if !goes_on {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns the number and total size of the files below. Includes files that can't be read.
    pub(crate) fn size(&self) -> io::Result<Size> {
        let mut size = Size::default();
        self.walk(&mut |entry| {
            if entry.kind != Kind::Folder {
                size.files += 1;
                size.bytes += entry.bytes;
            }
            Ok(true)
        })?;
        Ok(size)
    }

    /// Opens a regular file by its path below the folder.
    pub(crate) fn file(&self, path: &str) -> io::Result<File> {
        let no_file = || io::Error::new(io::ErrorKind::NotFound, format!("{path:?} is no file of it"));
        let mut at = openat(&self.folder, ".", FOLDER, Mode::empty())?;
        let mut parts = Path::new(path).components().peekable();
        while let Some(part) = parts.next() {
            let Component::Normal(name) = part else { return Err(no_file()) };
            let flags = if parts.peek().is_some() { FOLDER } else { FILE };
            at = openat(&at, name, flags, Mode::empty()).map_err(|_| no_file())?;
        }
        let file = File::from(at);
        if file.metadata()?.is_file() { Ok(file) } else { Err(no_file()) }
    }
}

/// `O_NONBLOCK`, because opening a pipe without a writer would block.
const FILE: OFlag = OFlag::O_RDONLY.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC).union(OFlag::O_NONBLOCK);

impl Entry<'_> {
    /// Opens a file. In a folder of another user, refuses a hard link to a file that doesn't belong to this user.
    pub(crate) fn open(&self) -> io::Result<File> {
        let file = File::from(openat(self.within, self.name, FILE, Mode::empty())?);
        let about = file.metadata()?;
        if !about.is_file() {
            return Err(self.wrong("is no file any more"));
        }
        if self.other.is_some_and(|other| about.uid() != other.as_raw() && about.nlink() > 1) {
            return Err(self.wrong("is another name of a file that isn't the user's"));
        }
        Ok(file)
    }

    /// Returns the target of a link.
    pub(crate) fn read_link(&self) -> io::Result<PathBuf> {
        Ok(PathBuf::from(readlinkat(self.within, self.name)?))
    }

    /// Returns the target of a link that will be published. In a folder of another user, refuses a link that may point out of the folder: a
    /// later reader may have permissions that the user doesn't have.
    pub(crate) fn link(&self) -> io::Result<PathBuf> {
        let to = self.read_link()?;
        let stays = to.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if self.other.is_some() && !stays {
            return Err(self.wrong("is a link that may lead out of the folder"));
        }
        Ok(to)
    }

    /// Returns an error that starts with the path of the entry.
    pub(crate) fn wrong(&self, why: &str) -> io::Error {
        io::Error::other(format!("{} {why}", self.path.display()))
    }
}
