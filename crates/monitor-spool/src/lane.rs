//! What is rare or large, as it is recorded: entries in mapped files, one behind the other, in the order of the queue.

#![allow(unsafe_code, clippy::cast_ptr_alignment, reason = "bytes and words in mapped memory")]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::SpoolError;
use crate::block::{self, HEADER, LONGEST, Magic};
use crate::folder::Folder;
use crate::sys::Mapping;

/// Bytes of a file, unless an entry is larger.
const SEGMENT: usize = 128 << 10;

/// A longer file is read so far.
pub(crate) const LONGEST_FILE: u64 = (HEADER + LONGEST + 8) as u64;

/// Something that took the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A fact.
    Sent {
        /// Ends: when the process began, in ticks.
        begun: u64,
        /// When it was recorded, in ticks.
        at: u64,
        /// A wire event's JSON, whose `time_us` and `elapsed_ns` are filled in by whoever reads it.
        event: &'a [u8],
    },
    /// The words of a failure, whose end stands in a ring.
    Failed {
        /// The process.
        id: u64,
        /// A wire error's JSON.
        error: &'a [u8],
    },
}

impl Entry<'_> {
    fn parts(&self) -> (Magic, u64, u64, &[u8]) {
        match *self {
            Entry::Sent { begun, at, event } => (Magic::Sent, begun, at, event),
            Entry::Failed { id, error } => (Magic::Failed, id, 0, error),
        }
    }
}

/// Appends entries, which are numbered from 1. May be shared by threads; those who call it under a lock of their own have
/// their order in it.
#[derive(Debug)]
pub struct Lane {
    folder: Arc<Folder>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    next: u64,
    current: Option<Segment>,
    /// Names, bytes and the numbers of the last entries.
    older: VecDeque<(String, u64, u64)>,
    ready: Option<(String, Mapping)>,
    made: u64,
}

#[derive(Debug)]
struct Segment {
    name: String,
    memory: Mapping,
    used: usize,
}

impl Lane {
    pub(crate) fn new(folder: Arc<Folder>) -> Self {
        let inner = Inner { next: 1, current: None, older: VecDeque::new(), ready: None, made: 0 };
        Self { folder, inner: Mutex::new(inner) }
    }

    /// Makes the next file ready, so that no recording thread has to. For a thread that may wait for the disk.
    ///
    /// # Errors
    /// When the folder is full, or the disk is.
    pub fn prepare(&self) -> Result<(), SpoolError> {
        let name = {
            let mut inner = self.lock();
            if inner.ready.is_some() {
                return Ok(());
            }
            inner.made += 1;
            format!("spare-lane-{}", inner.made)
        };
        let memory = self.make(&name, SEGMENT, true)?;
        self.lock().ready = Some((name, memory));
        Ok(())
    }

    /// Whether less than half of the last file is left.
    pub(crate) fn is_half_full(&self) -> bool {
        self.lock().current.as_ref().is_some_and(|segment| 2 * segment.used > segment.memory.bytes())
    }

    /// Appends an entry. Its number.
    ///
    /// # Errors
    /// When the folder is full, or the disk is, or the entry is longer than 64 MiB: it is not kept.
    pub fn append(&self, entry: &Entry<'_>) -> Result<u64, SpoolError> {
        let (magic, a, b, payload) = entry.parts();
        if payload.len() > LONGEST {
            return Err(self.folder.full());
        }
        let bytes = block::size(payload.len());
        let mut inner = self.lock();
        let number = inner.next;
        if inner.current.as_ref().is_none_or(|segment| segment.used + bytes > segment.memory.bytes()) {
            let segment = self.segment(&mut inner, number, bytes)?;
            if let Some(full) = inner.current.replace(segment) {
                inner.older.push_back((full.name, full.memory.bytes() as u64, number - 1));
            }
        }
        let Some(segment) = inner.current.as_mut() else { return Err(self.folder.full()) };
        let header = block::header(self.folder.worker(), magic, number, a, b, payload);
        segment.write(&header, payload);
        segment.used += bytes;
        inner.next += 1;
        Ok(number)
    }

    /// Number of the last entry, 0 if there was none.
    pub fn last(&self) -> u64 {
        self.lock().next - 1
    }

    /// Entries up to this number are in the journal: files that hold no others are removed.
    pub fn taken(&self, number: u64) {
        let mut gone = Vec::new();
        {
            let mut inner = self.lock();
            while inner.older.front().is_some_and(|(_, _, last)| *last <= number) {
                gone.extend(inner.older.pop_front());
            }
        }
        for (name, bytes, _) in gone {
            self.folder.remove(&name, bytes);
        }
    }

    /// Gives back memory and files: what is in them is needed no more.
    pub(crate) fn release(&self) {
        let mut inner = self.lock();
        let (current, ready) = (inner.current.take().map(|segment| (segment.name, segment.memory)), inner.ready.take());
        for (name, memory) in current.into_iter().chain(ready) {
            self.folder.remove(&name, memory.bytes() as u64);
        }
    }

    fn segment(&self, inner: &mut Inner, number: u64, bytes: usize) -> Result<Segment, SpoolError> {
        let name = format!("lane-{number}");
        let memory = match inner.ready.take_if(|(_, memory)| memory.bytes() >= bytes) {
            Some((spare, memory)) => {
                self.folder.rename(&spare, &name)?;
                memory
            }
            None => self.make(&name, bytes.max(SEGMENT), false)?,
        };
        Ok(Segment { name, memory, used: 0 })
    }

    fn make(&self, name: &str, bytes: usize, is_ready: bool) -> Result<Mapping, SpoolError> {
        let file = self.folder.make(name, bytes as u64)?;
        Mapping::new(&file, bytes, is_ready).map_err(|source| {
            self.folder.remove(name, bytes as u64);
            SpoolError::disk("map", self.folder.path().join(name))(source)
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Segment {
    /// Writes a block behind the last one. Its first word comes last: without it there is no block.
    fn write(&self, header: &[u8; HEADER], payload: &[u8]) {
        debug_assert!(self.used.is_multiple_of(8) && self.used + block::size(payload.len()) <= self.memory.bytes());
        // SAFETY: the place is inside the mapping, as the caller has seen to, belongs to no block yet, and only one thread at a
        // time writes; the word is aligned.
        unsafe {
            let place = self.memory.start().as_ptr().add(self.used);
            std::ptr::copy_nonoverlapping(header[8..].as_ptr(), place.add(8), HEADER - 8);
            std::ptr::copy_nonoverlapping(payload.as_ptr(), place.add(HEADER), payload.len());
            let first = u64::from_ne_bytes(header[..8].try_into().expect("8 bytes"));
            (*place.cast::<AtomicU64>()).store(first, Ordering::Release);
        }
    }
}
