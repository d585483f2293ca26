//! Who has a folder: one lock per folder, held by a living program, or by whoever ships a dead one's.
//!
//! The kernel's lock ends with its process, at `exec` too (its descriptor is closed there), and is not inherited by a fork.
//! But it ends as well when its process closes any other descriptor of the file, and doesn't keep one part of a process from
//! another. So a process keeps a list of what it holds, and never opens that again.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use crate::sys::{self, Dir, Kept};

const NAME: &str = "lock";

/// What this process holds, and a forked child's parent: a list without a lock, which a fork could leave locked.
static HELD: AtomicPtr<Held> = AtomicPtr::new(std::ptr::null_mut());

#[derive(Debug)]
struct Held {
    pid: u32,
    file: (u64, u64),
    is_current: AtomicBool,
    next: Option<&'static Held>,
}

/// A note in the list that this process has, or is about to look at, the lock of a folder. Dropped, the note is struck out.
#[derive(Debug)]
struct Note(&'static Held);

impl Note {
    /// `None` if there is such a note already.
    fn make(file: (u64, u64)) -> Option<Self> {
        let pid = std::process::id();
        let held = Box::leak(Box::new(Held { pid, file, is_current: AtomicBool::new(true), next: None }));
        let mut first = HELD.load(Ordering::Acquire);
        loop {
            held.next = at(first);
            let place = std::ptr::from_mut(held);
            match HELD.compare_exchange(first, place, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break,
                Err(other) => first = other,
            }
        }
        let held: &'static Held = held;
        let note = Self(held);
        // Of two at the same time each may see the other: then none gets it, which harms nobody.
        let mut other = held.next.or_else(|| at(HELD.load(Ordering::Acquire)));
        while let Some(held) = other {
            let is_same = held.pid == pid && held.file == file && !std::ptr::eq(held, note.0);
            if is_same && held.is_current.load(Ordering::Acquire) {
                return None;
            }
            other = held.next;
        }
        Some(note)
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        self.0.is_current.store(false, Ordering::Release);
    }
}

fn at(place: *mut Held) -> Option<&'static Held> {
    #[allow(unsafe_code, reason = "a list that grows at its head and shrinks never")]
    // SAFETY: null, or what `Note::make` leaked.
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
