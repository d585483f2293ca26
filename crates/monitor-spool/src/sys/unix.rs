//! Implementation for Linux, macOS and other Unix systems.

#![allow(unsafe_code, reason = "calls of the C library that std doesn't offer; memory in files")]

use std::ffi::CString;
use std::fs::{DirBuilder, File, Metadata};
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;

use super::Status;

/// Maximum number of entries read from a folder.
const MOST_NAMES: usize = 100_000;

/// A file that stays open. A program may close descriptors that it did not open, and then open a file of its own with the same number. That
/// file is neither written to nor closed.
#[derive(Debug)]
pub(crate) struct Kept {
    file: ManuallyDrop<File>,
    id: (u64, u64),
}

impl Kept {
    pub(crate) fn new(file: File) -> io::Result<Self> {
        let id = file_status(&file)?.file;
        Ok(Self { file: ManuallyDrop::new(file), id })
    }

    /// Returns the file, if the descriptor still refers to it.
    pub(crate) fn get(&self) -> io::Result<&File> {
        match file_status(&self.file) {
            Ok(status) if status.file == self.id => Ok(&self.file),
            _ => Err(io::Error::other("the program has closed it")),
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if self.get().is_ok() {
            // SAFETY: this is the last use.
            unsafe { ManuallyDrop::drop(&mut self.file) };
        }
    }
}

/// An open folder. Its entries are accessed relative to its descriptor, so later changes of the path have no effect.
#[derive(Debug)]
pub(crate) struct Dir {
    file: Kept,
    path: PathBuf,
}

impl Dir {
    /// Creates the folder and its parents, accessible only by the user.
    pub(crate) fn make_all(path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)
    }

    /// Opens a folder. Fails if it is a symbolic link.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let name = c_string(path.as_os_str().as_bytes())?;
        let file = open_at(libc::AT_FDCWD, &name, libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
        Ok(Self { file: Kept::new(file)?, path: path.to_owned() })
    }

    pub(crate) fn open_in(&self, name: &str) -> io::Result<Self> {
        let file = open_at(self.fd()?, &c_string(name.as_bytes())?, libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
        Ok(Self { file: Kept::new(file)?, path: self.path.join(name) })
    }

    /// Changes the path after the folder was renamed.
    pub(crate) fn renamed(self, path: PathBuf) -> Self {
        Self { path, ..self }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn status(&self) -> io::Result<Status> {
        file_status(self.file.get()?)
    }

    fn fd(&self) -> io::Result<i32> {
        self.file.get().map(AsRawFd::as_raw_fd)
    }

    /// Creates a subfolder, accessible only by the user.
    pub(crate) fn make_in(&self, name: &str) -> io::Result<()> {
        let name = c_string(name.as_bytes())?;
        // SAFETY: the name ends with a zero byte and outlives the call.
        check(unsafe { libc::mkdirat(self.fd()?, name.as_ptr(), 0o700) }).map(drop)
    }

    /// Creates a new file, accessible only by the user.
    pub(crate) fn new_file(&self, name: &str) -> io::Result<File> {
        open_at(self.fd()?, &c_string(name.as_bytes())?, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL, 0o600)
    }

    /// Opens an existing regular file of this user.
    pub(crate) fn file(&self, name: &str, is_written: bool) -> io::Result<File> {
        let access = if is_written { libc::O_RDWR } else { libc::O_RDONLY };
        // Non-blocking, because opening a FIFO would wait for its other end.
        let file = open_at(self.fd()?, &c_string(name.as_bytes())?, access | libc::O_NONBLOCK, 0)?;
        let status = file_status(&file)?;
        if status.is_regular && status.is_own {
            Ok(file)
        } else {
            Err(io::Error::new(io::ErrorKind::PermissionDenied, "it is no regular file of this user's"))
        }
    }

    /// Returns the status of a file without opening it.
    pub(crate) fn status_in(&self, name: &str) -> io::Result<Status> {
        let name = c_string(name.as_bytes())?;
        let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
        // SAFETY: the name ends with a zero byte, and the kernel fills in the whole structure when it succeeds.
        let stat = unsafe {
            check(libc::fstatat(self.fd()?, name.as_ptr(), stat.as_mut_ptr(), libc::AT_SYMLINK_NOFOLLOW))?;
            stat.assume_init()
        };
        #[allow(clippy::unnecessary_cast, clippy::useless_conversion, reason = "the types differ between systems")]
        Ok(Status {
            file: (stat.st_dev as u64, stat.st_ino as u64),
            is_own: stat.st_uid == user(),
            mode: u32::from(stat.st_mode) & 0o7777,
            is_regular: stat.st_mode & libc::S_IFMT == libc::S_IFREG,
            bytes: stat.st_size as u64,
            changed_us: (stat.st_mtime as u64).saturating_mul(1_000_000),
        })
    }

    pub(crate) fn rename_in(&self, from: &str, to: &str) -> io::Result<()> {
        let (from, to) = (c_string(from.as_bytes())?, c_string(to.as_bytes())?);
        let fd = self.fd()?;
        // SAFETY: both names end with a zero byte and outlive the call.
        check(unsafe { libc::renameat(fd, from.as_ptr(), fd, to.as_ptr()) }).map(drop)
    }

    pub(crate) fn remove_file(&self, name: &str) -> io::Result<()> {
        self.unlink(name, 0)
    }

    /// Removes an empty subfolder.
    pub(crate) fn remove_dir(&self, name: &str) -> io::Result<()> {
        self.unlink(name, libc::AT_REMOVEDIR)
    }

    fn unlink(&self, name: &str, flags: i32) -> io::Result<()> {
        let name = c_string(name.as_bytes())?;
        // SAFETY: the name ends with a zero byte and outlives the call.
        check(unsafe { libc::unlinkat(self.fd()?, name.as_ptr(), flags) }).map(drop)
    }

    /// Returns the names of the entries. Names that are not UTF-8 are skipped.
    pub(crate) fn names(&self) -> io::Result<Vec<String>> {
        let entries = std::fs::read_dir(&self.path)?.take(MOST_NAMES);
        Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
    }
}

/// A NUL-terminated name. Short names, which include all names of the spool, need no heap allocation, because they may be used inside a
/// monitored call.
enum Name {
    Short([u8; 64]),
    Long(CString),
}

impl Name {
    fn as_ptr(&self) -> *const libc::c_char {
        match self {
            Name::Short(bytes) => bytes.as_ptr().cast(),
            Name::Long(name) => name.as_ptr(),
        }
    }
}

fn c_string(bytes: &[u8]) -> io::Result<Name> {
    let mut short = [0; 64];
    if bytes.len() < short.len() && !bytes.contains(&0) {
        short[..bytes.len()].copy_from_slice(bytes);
        return Ok(Name::Short(short));
    }
    CString::new(bytes).map(Name::Long).map_err(|_| io::ErrorKind::InvalidInput.into())
}

fn check(result: i32) -> io::Result<i32> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn open_at(fd: i32, name: &Name, flags: i32, mode: libc::c_uint) -> io::Result<File> {
    let flags = flags | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    // SAFETY: the name ends with a zero byte and outlives the call; the descriptor is new and has no other owner.
    unsafe { check(libc::openat(fd, name.as_ptr(), flags, mode)).map(|fd| File::from_raw_fd(fd)) }
}

fn user() -> u32 {
    // SAFETY: it can't fail.
    unsafe { libc::geteuid() }
}

/// Returns the name of this machine.
pub(crate) fn hostname() -> String {
    let mut name = [0_u8; 256];
    // SAFETY: the buffer has the stated length, and its last byte stays zero.
    unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len() - 1) };
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(0);
    String::from_utf8_lossy(&name[..end]).into_owned()
}

pub(crate) fn file_status(file: &File) -> io::Result<Status> {
    file.metadata().map(|metadata| status_of(&metadata))
}

fn status_of(metadata: &Metadata) -> Status {
    Status {
        file: (metadata.dev(), metadata.ino()),
        is_own: metadata.uid() == user(),
        mode: metadata.mode() & 0o7777,
        is_regular: metadata.is_file(),
        bytes: metadata.len(),
        changed_us: (metadata.mtime().max(0) as u64).saturating_mul(1_000_000),
    }
}

/// Number of bytes at the beginning of a new file that are written once.
const WRITTEN: u64 = 256 << 10;
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// Sets the length of a file and allocates its disk blocks, so that no later store into its mapped memory can fail.
///
/// The beginning is also written once. Written data is cached in large units, and the first store into each unit causes only one page
/// fault. A page that is only allocated causes a fault of its own, which costs eight times as much in total.
pub(crate) fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    reserve(file, bytes)?;
    write_zeros(file, bytes.min(WRITTEN))
}

fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    may_grow(bytes)?;
    let length = libc::off_t::try_from(bytes).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    #[cfg(not(target_vendor = "apple"))]
    {
        loop {
            // SAFETY: the descriptor is open.
            match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, length) } {
                0 => return Ok(()),
                libc::EINTR => {}
                libc::EOPNOTSUPP | libc::EINVAL => break,
                error => return Err(io::Error::from_raw_os_error(error)),
            }
        }
    }
    let _ = length;
    write_zeros(file, bytes)
}

/// Writes zeros, for file systems that can't allocate space in advance.
fn write_zeros(file: &File, bytes: u64) -> io::Result<()> {
    use std::os::unix::fs::FileExt;
    let mut at = 0;
    while at < bytes {
        let part = (bytes - at).min(ZEROS.len() as u64);
        file.write_all_at(&ZEROS[..part as usize], at)?;
        at += part;
    }
    Ok(())
}

/// Checks that the file may grow to this size. Exceeding `RLIMIT_FSIZE` would kill the program by a signal.
fn may_grow(bytes: u64) -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel fills in the structure.
    check(unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut limit) })?;
    #[allow(clippy::unnecessary_cast, reason = "the type differs between systems")]
    if bytes > limit.rlim_cur as u64 { Err(io::Error::from_raw_os_error(libc::EFBIG)) } else { Ok(()) }
}

/// Locks the first byte of a file for this process. Returns false if another process holds the lock. The lock ends when the process ends or
/// closes any descriptor of the file, and is not inherited by children.
pub(crate) fn try_lock(file: &File) -> io::Result<bool> {
    let mut lock = lock_of_first_byte();
    // SAFETY: the descriptor is open, and the command accepts this structure.
    match check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLK, &raw mut lock) }) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EACCES | libc::EAGAIN)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns true if another process has locked the file.
pub(crate) fn is_locked(file: &File) -> io::Result<bool> {
    let mut lock = lock_of_first_byte();
    // SAFETY: the descriptor is open, and the command accepts this structure.
    check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETLK, &raw mut lock) })?;
    Ok(lock.l_type != libc::F_UNLCK as libc::c_short)
}

fn lock_of_first_byte() -> libc::flock {
    // SAFETY: a structure of numbers; zeroes are valid.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as _;
    lock.l_whence = libc::SEEK_SET as _;
    lock.l_len = 1;
    lock
}

/// Reads at an offset, until the buffer is full or the file ends.
pub(crate) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    use std::os::unix::fs::FileExt;
    let mut read = 0;
    while read < buffer.len() {
        match file.read_at(&mut buffer[read..], offset + read as u64) {
            Ok(0) => break,
            Ok(count) => read += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

/// Writes all bytes at an offset.
pub(crate) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    use std::os::unix::fs::FileExt;
    may_grow(offset.saturating_add(bytes.len() as u64))?;
    file.write_all_at(bytes, offset)
}

/// Populates mapped memory for writing. On most file systems, a page that was only read causes another fault at the first store. Memory
/// that is no longer mapped is ignored.
///
/// # Errors
/// If the disk is full, in which case a store would kill the program.
#[cfg(target_os = "linux")]
pub(crate) fn populate(start: NonNull<u8>, bytes: usize) -> io::Result<()> {
    // SAFETY: changes no byte, even while other threads store into them, and fails where nothing is mapped.
    match check(unsafe { libc::madvise(start.as_ptr().cast(), bytes, libc::MADV_POPULATE_WRITE) }) {
        // Kernels before 5.14 don't support it. In that case the first store populates each page.
        Err(error) if error.raw_os_error() == Some(libc::EFAULT) => Err(error),
        _ => Ok(()),
    }
}

/// Does nothing; the first store populates each page.
#[cfg(not(target_os = "linux"))]
pub(crate) fn populate(_: NonNull<u8>, _: usize) -> io::Result<()> {
    Ok(())
}

/// Replaces mapped memory after its first page by zeroed anonymous memory. Returns the size of the first page.
///
/// # Errors
/// If the system is out of memory.
///
/// # Safety
/// The arguments must describe a mapping. Threads that use it at the same time must access it by atomic words and tolerate zeros.
pub(crate) unsafe fn detach(start: NonNull<u8>, bytes: usize) -> io::Result<u64> {
    // SAFETY: accepts a number.
    let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).map_err(|_| io::ErrorKind::Unsupported)?;
    if bytes > page {
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_FIXED);
        // SAFETY: only pages of the mapping are replaced, each atomically for the threads that use it, as promised by the caller.
        let placed = unsafe { libc::mmap(start.as_ptr().add(page).cast(), bytes - page, protection, flags, -1, 0) };
        if placed == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(page as u64)
}

/// Mapped memory of a file. Stored data survives the program.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the memory belongs to no thread. Its users define how they share it.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `bytes` of a file in which they are [`allocate`]d. If `is_ready`, the pages are populated now, so that later stores
    /// do not wait.
    pub(crate) fn new(file: &File, bytes: usize, is_ready: bool) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping affects no memory in use.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let mapping = NonNull::new(start.cast()).map(|start| Self { start, bytes }).ok_or(io::ErrorKind::OutOfMemory)?;
        if is_ready {
            populate(mapping.start, bytes)?;
        }
        Ok(mapping)
    }

    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the memory without unmapping it.
    pub(crate) fn into_raw(self) -> NonNull<u8> {
        ManuallyDrop::new(self).start
    }

    /// # Safety
    /// The arguments must be the result and the size of [`into_raw`](Self::into_raw), and no thread may use the memory any more.
    pub(crate) unsafe fn from_raw(start: NonNull<u8>, bytes: usize) -> Self {
        Self { start, bytes }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping has no other references.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}
