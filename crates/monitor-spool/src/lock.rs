//! Locks of folders. A folder is locked by its living program, or by the process that ships a dead program's records.
//!
//! A POSIX lock ends with its process and at `exec` (the descriptor is closed), and is not inherited by a fork. But it also ends when the
//! process closes any other descriptor of the file, and it does not exclude other threads of the same process. Therefore each process keeps
//! a list of its locks and never opens a locked file again.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};

use crate::sys::{self, Dir, Kept};

const NAME: &str = "lock";

/// Locks of this process and, in a forked child, of its parent. A lock-free list, because a fork could copy a mutex in locked state.
static HELD: AtomicPtr<Held> = AtomicPtr::new(std::ptr::null_mut());

/// An entry of the list. Removed entries are reused, so the list is as long as the maximum number of simultaneous locks.
#[derive(Debug, Default)]
struct Held {
    is_used: AtomicBool,
    /// Pid of the owner. 0 until the other fields are written.
    pid: AtomicU32,
    device: AtomicU64,
    inode: AtomicU64,
    next: Option<&'static Held>,
}

/// An entry that this process holds, or is about to check, the lock of a folder. Dropping it removes the entry.
#[derive(Debug)]
struct Note(&'static Held);

impl Note {
    /// Adds an entry. `None` if this process already has an entry for the file.
    fn make((device, inode): (u64, u64)) -> Option<Self> {
        let pid = std::process::id();
        let free = entries().find(|held| !held.is_used.swap(true, Ordering::SeqCst));
        let note = Self(free.unwrap_or_else(add));
        note.0.device.store(device, Ordering::SeqCst);
        note.0.inode.store(inode, Ordering::SeqCst);
        note.0.pid.store(pid, Ordering::SeqCst);
        // Two threads that add the same entry at the same time may see each other, and then neither succeeds, which is harmless. At least
        // one sees the other: each thread stores its own entry before it reads the others, and all accesses are sequentially consistent.
        let is_same = |held: &Held| {
            held.pid.load(Ordering::SeqCst) == pid
                && held.device.load(Ordering::SeqCst) == device
                && held.inode.load(Ordering::SeqCst) == inode
        };
        let is_held = entries().any(|held| !std::ptr::eq(held, note.0) && is_same(held));
        (!is_held).then_some(note)
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        self.0.pid.store(0, Ordering::SeqCst);
        self.0.is_used.store(false, Ordering::SeqCst);
    }
}

fn entries() -> impl Iterator<Item = &'static Held> {
    std::iter::successors(at(HELD.load(Ordering::SeqCst)), |held| held.next)
}

/// Adds a used entry to the list.
fn add() -> &'static Held {
    let held = Box::leak(Box::new(Held { is_used: AtomicBool::new(true), ..Held::default() }));
    let mut first = HELD.load(Ordering::SeqCst);
    loop {
        held.next = at(first);
        let place = std::ptr::from_mut(held);
        match HELD.compare_exchange(first, place, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => return held,
            Err(other) => first = other,
        }
    }
}

fn at(place: *mut Held) -> Option<&'static Held> {
    #[allow(unsafe_code, reason = "a list that grows at its head and shrinks never")]
    // SAFETY: null, or leaked by `add`.
    unsafe {
        place.as_ref()
    }
}

/// Lock of a folder, released when dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    /// Declared first, so that it is closed before the entry is removed. Closing it later could release the lock of a new owner.
    _file: Kept,
    _note: Note,
}

impl Lock {
    /// Creates and acquires the lock of a new folder.
    pub(crate) fn make(folder: &Dir) -> io::Result<Self> {
        let file = folder.new_file(NAME)?;
        let lock = Note::make(sys::file_status(&file)?.file).map(|note| Self::take(file, note)).transpose()?.flatten();
        lock.ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }

    /// Acquires the lock of a folder. `None` if it is held.
    pub(crate) fn claim(folder: &Dir) -> io::Result<Option<Self>> {
        let Some(note) = Note::make(folder.status_in(NAME)?.file) else { return Ok(None) };
        Self::take(folder.file(NAME, true)?, note)
    }

    fn take(file: File, note: Note) -> io::Result<Option<Self>> {
        let is_taken = sys::try_lock(&file)?;
        let file = Kept::new(file)?;
        Ok(is_taken.then_some(Self { _file: file, _note: note }))
    }
}

/// Returns true if the lock of a folder is held.
pub(crate) fn is_taken(folder: &Dir) -> io::Result<bool> {
    let Some(_note) = Note::make(folder.status_in(NAME)?.file) else { return Ok(true) };
    sys::is_locked(&folder.file(NAME, false)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_kept_once_and_its_place_used_again() {
        let first = Note::make((1, 1)).unwrap();
        assert!(Note::make((1, 1)).is_none());
        drop(first);
        let before = entries().count();
        for inode in 0..1_000 {
            assert!(Note::make((2, inode)).is_some());
        }
        // Other tests may hold some locks at the same time.
        assert!(entries().count() < before + 100);
    }

    #[test]
    fn at_most_one_of_several_threads_gets_the_lock() {
        let held = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        if let Some(_note) = Note::make((3, 3)) {
                            assert_eq!(held.fetch_add(1, Ordering::SeqCst), 0);
                            held.fetch_sub(1, Ordering::SeqCst);
                        }
                    }
                });
            }
        });
    }
}
