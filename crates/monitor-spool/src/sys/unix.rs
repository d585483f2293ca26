//! Linux, macOS and their kin.

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

/// A folder is not read further.
const MOST_NAMES: usize = 100_000;

/// A file that stays open. A program that closes descriptors which it hasn't opened may have closed this one, and have opened
/// a file of its own by the same number: that one is neither written to nor closed.
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

    /// The file, if it is still that one.
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

/// An open folder; what is in it is reached through it, whatever becomes of its path.
#[derive(Debug)]
pub(crate) struct Dir {
    file: Kept,
    path: PathBuf,
}

impl Dir {
    /// Makes the folder and those above it, for the user alone.
    pub(crate) fn make_all(path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)
    }

    /// Opens a folder that is no symbolic link.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let name = c_string(path.as_os_str().as_bytes())?;
        let file = open_at(libc::AT_FDCWD, &name, libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
        Ok(Self { file: Kept::new(file)?, path: path.to_owned() })
    }

    pub(crate) fn open_in(&self, name: &str) -> io::Result<Self> {
        let file = open_at(self.fd()?, &c_string(name.as_bytes())?, libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
        Ok(Self { file: Kept::new(file)?, path: self.path.join(name) })
    }

    /// The same folder, which is about to have another path.
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

    /// Makes a folder in it, for the user alone.
    pub(crate) fn make_in(&self, name: &str) -> io::Result<()> {
        let name = c_string(name.as_bytes())?;
        // SAFETY: the name ends with a zero byte and outlives the call.
        check(unsafe { libc::mkdirat(self.fd()?, name.as_ptr(), 0o700) }).map(drop)
    }

    /// A file that was not there before, for the user alone.
    pub(crate) fn new_file(&self, name: &str) -> io::Result<File> {
        open_at(self.fd()?, &c_string(name.as_bytes())?, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL, 0o600)
    }

    /// A file that is there: a regular one of the user's own.
    pub(crate) fn file(&self, name: &str, is_written: bool) -> io::Result<File> {
        let access = if is_written { libc::O_RDWR } else { libc::O_RDONLY };
        // A pipe would wait for its other end.
        let file = open_at(self.fd()?, &c_string(name.as_bytes())?, access | libc::O_NONBLOCK, 0)?;
        let status = file_status(&file)?;
        if status.is_regular && status.is_own {
            Ok(file)
        } else {
            Err(io::Error::new(io::ErrorKind::PermissionDenied, "it is no regular file of this user's"))
        }
    }

    /// What a file of this name is, without opening it.
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

    /// Removes an empty folder in it.
    pub(crate) fn remove_dir(&self, name: &str) -> io::Result<()> {
        self.unlink(name, libc::AT_REMOVEDIR)
    }

    fn unlink(&self, name: &str, flags: i32) -> io::Result<()> {
        let name = c_string(name.as_bytes())?;
        // SAFETY: the name ends with a zero byte and outlives the call.
        check(unsafe { libc::unlinkat(self.fd()?, name.as_ptr(), flags) }).map(drop)
    }

    /// What is in it; names that are no UTF-8 are none of ours.
    pub(crate) fn names(&self) -> io::Result<Vec<String>> {
        let entries = std::fs::read_dir(&self.path)?.take(MOST_NAMES);
        Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
    }
}

/// A name that ends with a zero byte. A short one, as all of ours are, allocates nothing: it may be needed in the midst of a
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
    // SAFETY: the name ends with a zero byte and outlives the call; the descriptor is new and nobody else's.
    unsafe { check(libc::openat(fd, name.as_ptr(), flags, mode)).map(|fd| File::from_raw_fd(fd)) }
}

fn user() -> u32 {
    // SAFETY: it can't fail.
    unsafe { libc::geteuid() }
}

/// Name of this machine.
pub(crate) fn hostname() -> String {
    let mut name = [0_u8; 256];
    // SAFETY: the buffer is as long as is said; its last byte stays zero.
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

/// So much of a new file is written once.
const WRITTEN: u64 = 256 << 10;
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// Gives a file this length, with room on the disk for all of it, so that no store into its memory can fail.
///
/// Its beginning is written once: what was written lies in memory in large pieces, of which each costs one fault when its memory
/// is stored into, while a page that has only room on the disk costs one by itself, eight times as much in all.
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

/// A file system that can't promise room has to have it written.
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

/// Whether a file may become so long. One that grows beyond `RLIMIT_FSIZE` would end the program by a signal.
fn may_grow(bytes: u64) -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel fills in the structure.
    check(unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut limit) })?;
    #[allow(clippy::unnecessary_cast, reason = "the type differs between systems")]
    if bytes > limit.rlim_cur as u64 { Err(io::Error::from_raw_os_error(libc::EFBIG)) } else { Ok(()) }
}

/// Locks the first byte of a file for this process; `false` if another one has it. It ends when the process does, or closes
/// any descriptor of the file, and passes to no child.
pub(crate) fn try_lock(file: &File) -> io::Result<bool> {
    let mut lock = lock_of_first_byte();
    // SAFETY: the descriptor is open, and the structure is what the command takes.
    match check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLK, &raw mut lock) }) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EACCES | libc::EAGAIN)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether another process has locked the file.
pub(crate) fn is_locked(file: &File) -> io::Result<bool> {
    let mut lock = lock_of_first_byte();
    // SAFETY: the descriptor is open, and the structure is what the command takes.
    check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETLK, &raw mut lock) })?;
    Ok(lock.l_type != libc::F_UNLCK as libc::c_short)
}

fn lock_of_first_byte() -> libc::flock {
    // SAFETY: a structure of numbers.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as _;
    lock.l_whence = libc::SEEK_SET as _;
    lock.l_len = 1;
    lock
}

/// Reads at a place of a file, as much as there is.
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

/// Writes all of it at a place of a file.
pub(crate) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    use std::os::unix::fs::FileExt;
    may_grow(offset.saturating_add(bytes.len() as u64))?;
    file.write_all_at(bytes, offset)
}

/// Takes the faults of storing into memory now: on most file systems a page that was only read has another one when it is first
/// stored into. Memory that is no longer mapped is left alone.
///
/// # Errors
/// When the disk has no room after all, where a store would end the program.
#[cfg(target_os = "linux")]
pub(crate) fn populate(start: NonNull<u8>, bytes: usize) -> io::Result<()> {
    // SAFETY: changes no byte, whoever stores into them meanwhile, and fails where nothing is mapped.
    match check(unsafe { libc::madvise(start.as_ptr().cast(), bytes, libc::MADV_POPULATE_WRITE) }) {
        // A kernel before 5.14 doesn't know it: then each page waits for its first store.
        Err(error) if error.raw_os_error() == Some(libc::EFAULT) => Err(error),
        _ => Ok(()),
    }
}

/// Each page waits for its first store.
#[cfg(not(target_os = "linux"))]
pub(crate) fn populate(_: NonNull<u8>, _: usize) -> io::Result<()> {
    Ok(())
}

/// Puts zeroed memory of this program's own in the place of mapped memory, behind its first page. Returns the bytes of this page.
///
/// # Errors
/// When the system has no memory for it.
///
/// # Safety
/// A mapping of so many bytes. Threads that use it meanwhile use it by atomic words, and get along with zeros.
pub(crate) unsafe fn detach(start: NonNull<u8>, bytes: usize) -> io::Result<u64> {
    // SAFETY: takes a number.
    let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).map_err(|_| io::ErrorKind::Unsupported)?;
    if bytes > page {
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_FIXED);
        // SAFETY: only pages of the mapping are replaced, each in one step for the threads that use it, as promised by the caller.
        let placed = unsafe { libc::mmap(start.as_ptr().add(page).cast(), bytes - page, protection, flags, -1, 0) };
        if placed == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(page as u64)
}

/// Memory that a file keeps: whatever is stored into it survives the program.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: it is memory that belongs to no thread; those who use it say how they share it.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `bytes` of a file that has that many [`allocate`]d; `is_ready` if its pages are to be stored into without
    /// a further wait, at the cost of one now.
    pub(crate) fn new(file: &File, bytes: usize, is_ready: bool) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping touches no memory that is in use.
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

    /// Gives the memory away: it stays mapped.
    pub(crate) fn into_raw(self) -> NonNull<u8> {
        ManuallyDrop::new(self).start
    }

    /// # Safety
    /// What [`into_raw`](Self::into_raw) gave, of this length, used by nobody any more.
    pub(crate) unsafe fn from_raw(start: NonNull<u8>, bytes: usize) -> Self {
        Self { start, bytes }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this mapping, which nobody refers to any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}
