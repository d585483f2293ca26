//! The memory that calls are recorded into, in files.

#![allow(unsafe_code, reason = "addresses of mapped memory")]

use std::fmt;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

use monitor_core::keep::Piece;

use crate::SpoolError;
use crate::folder::Folder;
use crate::sys::{self, Mapping};

/// A file's name, in which nothing is allocated: it may be needed in the midst of a monitored call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Name {
    bytes: [u8; 48],
    len: usize,
}

impl Name {
    fn new(name: fmt::Arguments<'_>) -> Self {
        let mut new = Name { bytes: [0; 48], len: 0 };
        // The longest has a word and two numbers.
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

/// Name of a piece's file.
pub(crate) fn name(piece: Piece) -> Name {
    match piece {
        Piece::Region(region) => Name::new(format_args!("region-{region}")),
        Piece::Segment { region, base } => Name::new(format_args!("segment-{region}-{base}")),
        Piece::Chunk { region, index } => Name::new(format_args!("chunk-{region}-{index}")),
        Piece::Folds { region, index } => Name::new(format_args!("fold-{region}-{index}")),
    }
}

/// The number of its region.
pub(crate) fn region(piece: Piece) -> u32 {
    match piece {
        Piece::Region(region) | Piece::Segment { region, .. } | Piece::Chunk { region, .. } | Piece::Folds { region, .. } => region,
    }
}

/// The piece that a file is, by its name.
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
    // Only as it is written: `region-01` is another file than `region-1`.
    (*name(piece) == *file).then_some(piece)
}

/// Gives out memory that lies in files, some of it made beforehand.
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

/// Pieces that were made when they were needed, and wait for each page at its first store: where they start, and their bytes.
/// Nothing is allocated for it; what finds no place stays cold.
#[derive(Debug, Default)]
struct Cold([Option<(NonNull<u8>, usize)>; 8]);

// SAFETY: addresses, from which nothing is read.
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

    /// Makes sure that `count` pieces of so many bytes are ready. For a thread that may wait for the disk.
    ///
    /// # Errors
    /// When the folder is full, or the disk is.
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

    /// Takes the faults of pieces that were made when they were needed, while they are in use: for the thread that also calls
    /// [`unmap`](Self::unmap).
    pub fn warm(&self) {
        let Cold(cold) = std::mem::take(&mut self.spares().cold);
        for (start, bytes) in cold.into_iter().flatten() {
            // A disk that has no room after all is told by a signal, as it would be without.
            let _ = sys::populate(start, bytes);
        }
    }

    /// Zeroed memory that starts at a page and outlives the program: one that is ready, or a new one.
    ///
    /// # Errors
    /// When the folder is full, or the disk is.
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

    /// Gives back what [`map`](Self::map) gave; its file is removed.
    ///
    /// # Safety
    /// Exactly what `map(piece, bytes)` returned, used by nobody any more.
    pub unsafe fn unmap(&self, piece: Piece, start: NonNull<u8>, bytes: usize) {
        self.spares().cold.remove(start);
        // SAFETY: as promised by the caller.
        drop(unsafe { Mapping::from_raw(start, bytes) });
        self.folder.remove(&name(piece), bytes as u64);
    }

    /// Gives back the room on the disk that a piece takes behind its first page, and that of all spares.
    ///
    /// # Safety
    /// Exactly what `map(piece, bytes)` returned. Threads that use it meanwhile use it by atomic words, and get along with zeros behind
    /// the first page.
    pub unsafe fn detach(&self, piece: Piece, start: NonNull<u8>, bytes: usize) {
        let mut spares = self.spares();
        spares.cold.remove(start);
        for (name, mapping) in spares.ready.drain(..) {
            self.folder.remove(&name, mapping.bytes() as u64);
        }
        // SAFETY: as promised by the caller.
        let kept = unsafe { sys::detach(start, bytes) };
        // The file is cut only where no memory depends on it. One that is not there was made in memory.
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
