//! File-backed memory for recording calls.

#![allow(unsafe_code, reason = "addresses of mapped memory")]

use std::fmt;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

use monitor_core::keep::Piece;

use crate::SpoolError;
use crate::folder::Folder;
use crate::sys::{self, Mapping};

/// File name without heap allocation, because it may be needed inside a monitored call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Name {
    bytes: [u8; 48],
    len: usize,
}

impl Name {
    fn new(name: fmt::Arguments<'_>) -> Self {
        let mut new = Name { bytes: [0; 48], len: 0 };
        // The longest name has a word and two numbers, which fit.
        let _ = fmt::Write::write_fmt(&mut new, name);
        new
    }
}

impl fmt::Write for Name {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

/// Returns the file name of a piece.
pub(crate) fn name(piece: Piece) -> Name {
    match piece {
        Piece::Region(region) => Name::new(format_args!("region-{region}")),
        Piece::Segment { region, base } => Name::new(format_args!("segment-{region}-{base}")),
        Piece::Chunk { region, index } => Name::new(format_args!("chunk-{region}-{index}")),
        Piece::Folds { region, index } => Name::new(format_args!("fold-{region}-{index}")),
    }
}

/// Returns the number of a piece's region.
pub(crate) fn region(piece: Piece) -> u32 {
    match piece {
        Piece::Region(region) | Piece::Segment { region, .. } | Piece::Chunk { region, .. } | Piece::Folds { region, .. } => region,
    }
}

/// Returns the piece for a file name.
pub(crate) fn of(file: &str) -> Option<Piece> {
    let mut parts = file.split('-');
    let (what, region) = (parts.next()?, parts.next()?.parse().ok()?);
    let piece = match what {
        "region" => Piece::Region(region),
        "segment" => Piece::Segment { region, base: parts.next()?.parse().ok()? },
        "chunk" => Piece::Chunk { region, index: parts.next()?.parse().ok()? },
        "fold" => Piece::Folds { region, index: parts.next()?.parse().ok()? },
        _ => return None,
    };
    // Only the canonical form: `region-01` is another file than `region-1`.
    (*name(piece) == *file).then_some(piece)
}

/// Provides file-backed memory. Some pieces are created in advance.
#[derive(Debug)]
pub struct Pieces {
    folder: Arc<Folder>,
    spares: Mutex<Spares>,
}

#[derive(Debug, Default)]
struct Spares {
    made: u64,
    ready: Vec<(Name, Mapping)>,
    cold: Cold,
}

/// Pieces created on demand, whose pages are not populated yet: start and size. The list has a fixed size, so nothing is allocated. A piece
/// that does not fit is populated by its page faults.
#[derive(Debug, Default)]
struct Cold([Option<(NonNull<u8>, usize)>; 8]);

// SAFETY: addresses that are never dereferenced.
unsafe impl Send for Cold {}

impl Cold {
    fn add(&mut self, start: NonNull<u8>, bytes: usize) {
        if let Some(place) = self.0.iter_mut().find(|place| place.is_none()) {
            *place = Some((start, bytes));
        }
    }

    fn remove(&mut self, start: NonNull<u8>) {
        self.0.iter_mut().filter(|place| place.is_some_and(|(other, _)| other == start)).for_each(|place| *place = None);
    }
}

impl Pieces {
    pub(crate) fn new(folder: Arc<Folder>) -> Self {
        Self { folder, spares: Mutex::default() }
    }

    /// Ensures that `count` pieces of `bytes` bytes are ready. Called by a thread that may block on disk I/O.
    ///
    /// # Errors
    /// If the folder's limit is reached, or the disk is full.
    pub fn prepare(&self, bytes: usize, count: usize) -> Result<(), SpoolError> {
        loop {
            let number = {
                let mut spares = self.spares();
                if spares.ready.iter().filter(|(_, mapping)| mapping.bytes() == bytes).count() >= count {
                    return Ok(());
                }
                spares.made += 1;
                spares.made
            };
            let name = Name::new(format_args!("spare-{number}"));
            let mapping = self.make(&name, bytes, true)?;
            self.spares().ready.push((name, mapping));
        }
    }

    /// Populates the pages of pieces that were created on demand and are in use. Must be called by the thread that also calls
    /// [`unmap`](Self::unmap).
    pub fn warm(&self) {
        let Cold(cold) = std::mem::take(&mut self.spares().cold);
        for (start, bytes) in cold.into_iter().flatten() {
            // If the disk is full after all, the program receives a signal, as it would without this call.
            let _ = sys::populate(start, bytes);
        }
    }

    /// Returns zeroed, page-aligned memory that outlives the program: a prepared piece or a new one.
    ///
    /// # Errors
    /// If the folder's limit is reached, or the disk is full.
    pub fn map(&self, piece: Piece, bytes: usize) -> Result<NonNull<u8>, SpoolError> {
        let name = name(piece);
        let spare = {
            let mut spares = self.spares();
            let place = spares.ready.iter().position(|(_, mapping)| mapping.bytes() == bytes);
            place.map(|place| spares.ready.swap_remove(place))
        };
        let mapping = if let Some((spare, mapping)) = spare {
            self.folder.rename(&spare, &name)?;
            mapping
        } else {
            let mapping = self.make(&name, bytes, false)?;
            self.spares().cold.add(mapping.start(), bytes);
            mapping
        };
        Ok(mapping.into_raw())
    }

    /// Releases memory returned by [`map`](Self::map) and removes its file.
    ///
    /// # Safety
    /// The arguments must be those of the `map` call and its result, and no thread may use the memory any more.
    pub unsafe fn unmap(&self, piece: Piece, start: NonNull<u8>, bytes: usize) {
        self.spares().cold.remove(start);
        // SAFETY: as promised by the caller.
        drop(unsafe { Mapping::from_raw(start, bytes) });
        self.folder.remove(&name(piece), bytes as u64);
    }

    /// Releases the disk space of a piece after its first page, and that of all prepared pieces.
    ///
    /// # Safety
    /// The arguments must be those of the `map` call and its result. Threads that use the memory at the same time must access it by atomic
    /// words and tolerate zeros after the first page.
    pub unsafe fn detach(&self, piece: Piece, start: NonNull<u8>, bytes: usize) {
        let mut spares = self.spares();
        spares.cold.remove(start);
        for (name, mapping) in spares.ready.drain(..) {
            self.folder.remove(&name, mapping.bytes() as u64);
        }
        // SAFETY: as promised by the caller.
        let kept = unsafe { sys::detach(start, bytes) };
        // The file is truncated only where no memory depends on it. If there is no file, the piece is in memory.
        if let Some((file, kept)) = self.folder.dir().file(&name(piece), true).ok().zip(kept.ok()) {
            let _ = file.set_len(kept.min(bytes as u64));
        }
    }

    fn make(&self, name: &str, bytes: usize, is_ready: bool) -> Result<Mapping, SpoolError> {
        let file = self.folder.make(name, bytes as u64)?;
        Mapping::new(&file, bytes, is_ready).map_err(|source| {
            self.folder.remove(name, bytes as u64);
            SpoolError::disk("map", self.folder.path().join(name))(source)
        })
    }

    fn spares(&self) -> std::sync::MutexGuard<'_, Spares> {
        self.spares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
