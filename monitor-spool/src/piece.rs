//! The memory that calls are recorded into, in files.

use std::fmt;
use std::ptr::NonNull;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::SpoolError;
use crate::folder::Folder;
use crate::sys::Mapping;

/// What a file of memory is, and in its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Piece {
    /// `region-R`: what one thread at a time records into.
    Region {
        /// Number of the region.
        region: u64,
    },
    /// `segment-R-BASE`: a ring of a region.
    Segment {
        /// Number of the region.
        region: u64,
        /// Number of the first record in it.
        base: u64,
    },
    /// `chunk-R-I`: a part of the open table of a region.
    Chunk {
        /// Number of the region.
        region: u64,
        /// Which part.
        index: u64,
    },
    /// `fold-R-I`: a part of what a region has counted.
    Fold {
        /// Number of the region.
        region: u64,
        /// Which part.
        index: u64,
    },
}

impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Region { region } => write!(f, "region-{region}"),
            Self::Segment { region, base } => write!(f, "segment-{region}-{base}"),
            Self::Chunk { region, index } => write!(f, "chunk-{region}-{index}"),
            Self::Fold { region, index } => write!(f, "fold-{region}-{index}"),
        }
    }
}

/// A name that is no piece's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoPiece;

impl FromStr for Piece {
    type Err = NoPiece;

    fn from_str(name: &str) -> Result<Self, NoPiece> {
        let mut parts = name.split('-');
        let what = parts.next().ok_or(NoPiece)?;
        let mut number = || parts.next().and_then(|part| part.parse().ok()).ok_or(NoPiece);
        let piece = match what {
            "region" => Self::Region { region: number()? },
            "segment" => Self::Segment { region: number()?, base: number()? },
            "chunk" => Self::Chunk { region: number()?, index: number()? },
            "fold" => Self::Fold { region: number()?, index: number()? },
            _ => return Err(NoPiece),
        };
        // Only as it is written: `region-01` is another file than `region-1`.
        if piece.to_string() == name { Ok(piece) } else { Err(NoPiece) }
    }
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
    ready: Vec<(String, Mapping)>,
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
            let name = format!("spare-{number}");
            let mapping = self.make(&name, bytes)?;
            self.spares().ready.push((name, mapping));
        }
    }

    /// Zeroed memory that starts at a page and outlives the program: one that is ready, or a new one.
    ///
    /// # Errors
    /// When the folder is full, or the disk is.
    pub fn map(&self, piece: Piece, bytes: usize) -> Result<NonNull<u8>, SpoolError> {
        let name = piece.to_string();
        let spare = {
            let mut spares = self.spares();
            let place = spares.ready.iter().position(|(_, mapping)| mapping.bytes() == bytes);
            place.map(|place| spares.ready.swap_remove(place))
        };
        let mapping = match spare {
            Some((spare, mapping)) => {
                self.folder.rename(&spare, &name)?;
                mapping
            }
            None => self.make(&name, bytes)?,
        };
        Ok(mapping.into_raw())
    }

    /// Gives back what [`map`](Self::map) gave; its file is removed.
    ///
    /// # Safety
    /// Exactly what `map(piece, bytes)` returned, used by nobody any more.
    #[allow(unsafe_code, reason = "only the caller knows that nobody uses it")]
    pub unsafe fn unmap(&self, piece: Piece, start: NonNull<u8>, bytes: usize) {
        // SAFETY: as promised by the caller.
        drop(unsafe { Mapping::from_raw(start, bytes) });
        self.folder.remove(&piece.to_string(), bytes as u64);
    }

    fn make(&self, name: &str, bytes: usize) -> Result<Mapping, SpoolError> {
        let file = self.folder.make(name, bytes as u64)?;
        Mapping::new(&file, bytes).map_err(|source| {
            self.folder.remove(name, bytes as u64);
            SpoolError::disk("map", self.folder.path().join(name))(source)
        })
    }

    fn spares(&self) -> std::sync::MutexGuard<'_, Spares> {
        self.spares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
