//! The lane: rare or large records, appended to mapped files in the order of the queue.

#![allow(unsafe_code, clippy::cast_ptr_alignment, reason = "bytes and words in mapped memory")]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::SpoolError;
use crate::block::{self, HEADER, LONGEST, Magic};
use crate::folder::Folder;
use crate::sys::Mapping;

/// Size of a file, unless an entry is larger.
const SEGMENT: usize = 128 << 10;

/// Maximum number of bytes read from a file.
pub(crate) const LONGEST_FILE: u64 = (HEADER + LONGEST + 8) as u64;

/// An entry, for a record that goes through the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry<'a> {
    /// An event.
    Sent {
        /// For ends: start time of the process, in ticks.
        begun: u64,
        /// Time of the record, in ticks.
        at: u64,
        /// JSON of a wire event. The reader adds `time_us` and `elapsed_ns`.
        event: &'a [u8],
    },
    /// Error of a failed process whose end is in a ring.
    Failed {
        /// Id of the process.
        id: u64,
        /// JSON of a wire error.
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

/// Appends entries, numbered from 1. It can be shared by threads. Callers that append under a common lock determine the order.
#[derive(Debug)]
pub struct Lane {
    folder: Arc<Folder>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    next: u64,
    current: Option<Segment>,
    /// Closed files with name, size and the number of the last entry.
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

    /// Creates the next file in advance, so that no recording thread has to. Called by a thread that may block on disk I/O.
    ///
    /// # Errors
    /// If the folder's limit is reached, or the disk is full.
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

    /// Returns true if more than half of the current file is used.
    pub(crate) fn is_half_full(&self) -> bool {
        self.lock().current.as_ref().is_some_and(|segment| 2 * segment.used > segment.memory.bytes())
    }

    /// Appends an entry and returns its number.
    ///
    /// # Errors
    /// If the folder's limit is reached, the disk is full, or the entry is longer than 64 MiB. The entry is not stored.
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

    /// Returns the number of the last entry; 0 if there is none.
    pub fn last(&self) -> u64 {
        self.lock().next - 1
    }

    /// Removes files whose entries are all in the journal; `number` is the last such entry.
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

    /// Releases memory and files, whose content is no longer needed.
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
    /// Writes a block after the last block. The first word is stored last, which commits the block.
    fn write(&self, header: &[u8; HEADER], payload: &[u8]) {
        debug_assert!(self.used.is_multiple_of(8) && self.used + block::size(payload.len()) <= self.memory.bytes());
        // SAFETY: the caller guarantees that the place is inside the mapping. It belongs to no block yet, only one thread writes at a time,
        // and the word is aligned.
        unsafe {
            let place = self.memory.start().as_ptr().add(self.used);
            std::ptr::copy_nonoverlapping(header[8..].as_ptr(), place.add(8), HEADER - 8);
            std::ptr::copy_nonoverlapping(payload.as_ptr(), place.add(HEADER), payload.len());
            let first = u64::from_ne_bytes(header[..8].try_into().expect("8 bytes"));
            (*place.cast::<AtomicU64>()).store(first, Ordering::Release);
        }
    }
}
