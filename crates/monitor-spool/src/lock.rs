//! Who has a folder: one lock per folder, held by a living program, or by whoever ships a dead one's.
//!
//! The kernel's lock ends with its process, at `exec` too (its descriptor is closed there), and is not inherited by a fork.
//! But it ends as well when its process closes any other descriptor of the file, and doesn't keep one part of a process from
//! another. So a process keeps a list of what it holds, and never opens that again.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};

use crate::sys::{self, Dir, Kept};

const NAME: &str = "lock";

/// What this process holds, and a forked child's parent: a list without a lock, which a fork could leave locked.
static HELD: AtomicPtr<Held> = AtomicPtr::new(std::ptr::null_mut());

/// An entry of the list. One that is struck out is used again: the list is as long as the most that was ever held at once.
#[derive(Debug, Default)]
struct Held {
    is_used: AtomicBool,
    /// 0 unless the rest is written.
    pid: AtomicU32,
    device: AtomicU64,
    inode: AtomicU64,
    next: Option<&'static Held>,
}

/// A note in the list that this process has, or is about to look at, the lock of a folder. Dropped, the note is struck out.
#[derive(Debug)]
struct Note(&'static Held);

impl Note {
    /// `None` if there is such a note already.
    fn make((device, inode): (u64, u64)) -> Option<Self> {
        let pid = std::process::id();
        let free = entries().find(|held| !held.is_used.swap(true, Ordering::SeqCst));
        let note = Self(free.unwrap_or_else(add));
        note.0.device.store(device, Ordering::SeqCst);
        note.0.inode.store(inode, Ordering::SeqCst);
        note.0.pid.store(pid, Ordering::SeqCst);
        // Of two at the same time each may see the other: then none gets it, which harms nobody. One at least is seen, for each is
        // written before the others are read, in the one order that all threads agree on.
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

/// One more entry, which is used.
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
    // SAFETY: null, or what `add` leaked.
    unsafe {
        place.as_ref()
    }
}

/// A folder's lock. Dropped, it is given back.
#[derive(Debug)]
pub(crate) struct Lock {
    /// Closed before the note is struck out: to close it later would end the lock of the next one.
    _file: Kept,
    _note: Note,
}

impl Lock {
    /// Makes the lock of a new folder, and takes it.
    pub(crate) fn make(folder: &Dir) -> io::Result<Self> {
        let file = folder.new_file(NAME)?;
        let lock = Note::make(sys::file_status(&file)?.file).map(|note| Self::take(file, note)).transpose()?.flatten();
        lock.ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }

    /// Takes the lock of a folder; `None` if somebody has it.
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

/// Whether anybody has the lock of a folder.
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
        // Others may hold a few meanwhile.
        assert!(entries().count() < before + 100);
    }

    #[test]
    fn of_many_at_once_one_at_most_gets_it() {
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
