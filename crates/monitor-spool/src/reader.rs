//! Reads the records of a dead or living program from plain bytes, which may be damaged or forged.

mod briefs;
mod calls;
mod folds;
pub mod fuzz;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::io::ErrorKind;

use monitor_core::image::{self, Image};
use monitor_core::keep::Piece;
use monitor_wire::WorkerId;

use crate::block::{Blocks, Item, Magic};
use crate::program;
use crate::sys::{self, Dir};
use crate::{journal, lane, piece};

pub(crate) use calls::Events;

/// Maximum total number of bytes read from the segments of a region.
const LONGEST_REGION: u64 = 1 << 30;
/// Maximum total number of bytes read from all lanes and regions.
const LONGEST_MEMORY: u64 = 16 << 30;
/// Maximum number of bytes read from a program's call sites.
const LONGEST_PROGRAM: u64 = 64 << 20;

/// Content of a folder.
#[derive(Debug, Default)]
pub(crate) struct Estate {
    pub(crate) program: program::Written,
    pub(crate) journal: journal::Written,
    /// Journal files with their sizes, oldest first.
    pub(crate) files: Vec<(u64, u64)>,
    /// Lane entries in their order.
    pub(crate) entries: Vec<Queued>,
    pub(crate) damaged_entries: u64,
    /// Regions by number.
    pub(crate) images: BTreeMap<u32, Image>,
    /// Names of the files other than program and journal.
    pub(crate) memory: Vec<String>,
    pub(crate) bytes: u64,
    pub(crate) changed_us: u64,
    /// Unreadable files with the reason.
    pub(crate) problems: Vec<String>,
    /// True if the rings have another layout, so that only another version can read them.
    pub(crate) is_foreign: bool,
    /// Number of bytes read from lanes and regions.
    read: u64,
}

/// A lane entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Queued {
    pub(crate) number: u64,
    /// True if the entry is the error of a failed process.
    pub(crate) is_words: bool,
    /// Start time in ticks, or the id of the failed process.
    pub(crate) a: u64,
    /// Time of the record, in ticks.
    pub(crate) at: u64,
    pub(crate) json: Vec<u8>,
}

/// Files of a region.
#[derive(Debug, Default)]
struct Region {
    memory: Vec<u8>,
    segments: Vec<(u64, Vec<u8>)>,
    chunks: Vec<Vec<u8>>,
    folds: Vec<Vec<u8>>,
    bytes: u64,
}

impl Region {
    fn take(&mut self, piece: Piece, bytes: Vec<u8>) {
        self.bytes += bytes.len() as u64;
        match piece {
            Piece::Region(_) => self.memory = bytes,
            Piece::Segment { base, .. } => self.segments.push((base, bytes)),
            Piece::Chunk { .. } => self.chunks.push(bytes),
            Piece::Folds { .. } => self.folds.push(bytes),
        }
    }

    fn read(&self, taken: Option<u64>) -> Image {
        let segments: Vec<(u64, &[u8])> = self.segments.iter().map(|(base, bytes)| (*base, &bytes[..])).collect();
        let chunks: Vec<&[u8]> = self.chunks.iter().map(|chunk| &chunk[..]).collect();
        let taken = taken.unwrap_or_else(|| image::taken(&self.memory));
        let folds: Vec<&[u8]> = self.folds.iter().map(|folds| &folds[..]).collect();
        image::read(&self.memory, &segments, &chunks, &folds, taken)
    }
}

impl Estate {
    /// Reads a folder. Unreadable files are listed as problems.
    pub(crate) fn read(dir: &Dir, worker: WorkerId) -> Self {
        match dir.names() {
            Ok(names) => Self::read_files(dir, worker, names),
            Err(error) => Self { problems: vec![format!("the folder: {error}")], ..Self::default() },
        }
    }

    /// Reads files of a folder. A missing file was removed by the program or by the process that ships it.
    fn read_files(dir: &Dir, worker: WorkerId, names: Vec<String>) -> Self {
        let mut estate = Self::default();
        let mut found: Vec<(FileKind, String)> = names.into_iter().filter_map(|name| Some((FileKind::of(&name)?, name))).collect();
        // The journal is read before the rings, because it contains the number of records taken from them. Regions are read one at a time,
        // because their total size may be large. Records that a living program moves at the same time are seen once, twice or not at all.
        found.sort();
        let mut current = (0, Region::default());
        for (kind, name) in found {
            if let FileKind::Piece(number, _) = kind
                && number != current.0
            {
                estate.region(current.0, &current.1);
                current = (number, Region::default());
            }
            match (estate.file(dir, &name, kind, current.1.bytes), kind) {
                (Ok(bytes), FileKind::Piece(_, piece)) => {
                    estate.memory.push(name);
                    current.1.take(piece, bytes);
                }
                (Ok(bytes), _) => estate.take(worker, kind, name, &bytes),
                (Err(error), _) if error.kind() == ErrorKind::NotFound => {}
                (Err(error), _) => estate.problems.push(format!("{name}: {error}")),
            }
        }
        estate.region(current.0, &current.1);
        estate.settle();
        estate
    }

    /// Reads a file that is not a piece of a region.
    fn take(&mut self, worker: WorkerId, kind: FileKind, name: String, bytes: &[u8]) {
        match kind {
            FileKind::Program => self.program = program::Written::read(worker, bytes),
            FileKind::Journal(number) => {
                self.files.push((number, bytes.len() as u64));
                self.journal.read(worker, number, bytes);
            }
            FileKind::Lane(_) => {
                self.memory.push(name);
                self.lane(worker, bytes);
            }
            FileKind::Piece(..) | FileKind::Spare => self.memory.push(name),
        }
    }

    /// Reads a region, starting at the position stored in the journal.
    fn region(&mut self, number: u32, region: &Region) {
        if region.bytes > 0 && self.has_rings() {
            self.images.insert(number, region.read(self.journal.meta.taken.get(&number).copied()));
        }
    }

    /// Returns true if all records of rings and lane are in the journal, or were recorded elsewhere.
    fn is_over(&self) -> bool {
        self.program.is_given_up || self.journal.stage != journal::Stage::Running
    }

    /// Returns the layout of the rings, if it differs from this build's.
    fn other_layout(&self) -> Option<u64> {
        self.program.header.map(|(layout, _)| layout).filter(|layout| *layout != u64::from(image::LAYOUT))
    }

    /// Returns true if the rings must be read, according to program and journal.
    fn has_rings(&self) -> bool {
        !self.is_over() && self.other_layout().is_none() && self.program.other_version.is_none()
    }

    /// Removes entries that are in the journal already.
    fn settle(&mut self) {
        if self.is_over() {
            self.entries.clear();
        } else {
            self.is_foreign = !self.has_rings();
            if let Some(layout) = self.other_layout() {
                self.problems.push(format!("the rings: of layout {layout}, this build reads {}", image::LAYOUT));
            }
        }
        if let Some(state) = &self.program.state {
            self.journal.leave_out_unfinished(state.next);
        }
        let lane = self.journal.meta.lane.max(self.program.state.map_or(0, |state| state.lane));
        let held: HashSet<u64> = self.journal.meta.held.iter().copied().collect();
        self.entries.retain(|entry| entry.is_words || entry.number > lane || held.contains(&entry.number));
        self.entries.sort_by_key(|entry| entry.number);
        if let Some(version) = self.program.other_version {
            self.problems.push(format!("program: of version {version}, this build reads {}", program::VERSION));
        }
    }

    fn lane(&mut self, worker: WorkerId, bytes: &[u8]) {
        for item in Blocks::new(worker, bytes) {
            match item {
                Item::Block { header, payload, .. } if matches!(header.magic, Magic::Sent | Magic::Failed) => self.entries.push(Queued {
                    number: header.number,
                    is_words: header.magic == Magic::Failed,
                    a: header.a,
                    at: header.b,
                    json: payload.to_vec(),
                }),
                _ => self.damaged_entries += 1,
            }
        }
    }

    /// Reads a file up to the maximum size of its kind. `of_region` is the number of bytes already read from its region.
    fn file(&mut self, dir: &Dir, name: &str, kind: FileKind, of_region: u64) -> std::io::Result<Vec<u8>> {
        let file = dir.file(name, false)?;
        let status = sys::file_status(&file)?;
        self.bytes += status.bytes;
        self.changed_us = self.changed_us.max(status.changed_us);
        let left = LONGEST_MEMORY.saturating_sub(self.read);
        let longest = match kind {
            FileKind::Program => LONGEST_PROGRAM,
            FileKind::Journal(_) => journal::LONGEST_FILE,
            FileKind::Lane(_) => lane::LONGEST_FILE.min(left),
            FileKind::Piece(..) if !self.has_rings() => 0,
            FileKind::Piece(_, Piece::Region(_)) => (image::REGION_BYTES as u64).min(left),
            FileKind::Piece(_, Piece::Segment { .. }) => LONGEST_REGION.saturating_sub(of_region).min(left),
            FileKind::Piece(_, Piece::Chunk { .. }) => (image::CHUNK_BYTES as u64).min(left),
            FileKind::Piece(_, Piece::Folds { .. }) => (image::FOLDS_BYTES as u64).min(left),
            FileKind::Spare => 0,
        };
        let mut bytes = Vec::new();
        let length = status.bytes.min(longest) as usize;
        bytes.try_reserve_exact(length)?;
        bytes.resize(length, 0);
        let read = sys::read_at(&file, &mut bytes, 0)?;
        bytes.truncate(read);
        if let FileKind::Lane(_) | FileKind::Piece(..) = kind {
            self.read += read as u64;
        }
        Ok(bytes)
    }

    /// Returns the next event number that was never sent.
    pub(crate) fn next(&self) -> u64 {
        match &self.program.state {
            Some(state) => state.next.max(self.journal.next),
            // Heartbeats may have been sent that are recorded nowhere else, so leave a gap.
            None => self.journal.next.saturating_add(if self.program.damaged > 0 { 1 << 20 } else { 0 }),
        }
        .max(1)
    }

    pub(crate) fn acknowledged(&self) -> u64 {
        self.program.state.map_or(0, |state| state.acknowledged).max(self.program.followed)
    }

    pub(crate) fn damaged(&self) -> u64 {
        self.damaged_of_living() + self.images.values().map(|image| image.damaged).sum::<u64>()
    }

    /// Returns the amount of damage that is certain while the program is writing. Ring records that are overwritten during the reading look
    /// damaged, so they are excluded.
    pub(crate) fn damaged_of_living(&self) -> u64 {
        self.program.damaged + self.journal.damaged + self.damaged_entries
    }

    /// Returns the number of ring records and lane entries that are not in the journal.
    pub(crate) fn unread(&self) -> u64 {
        let rings: usize = self.images.values().map(|image| image.ended.len() + image.running.len()).sum();
        (rings + self.entries.iter().filter(|entry| !entry.is_words).count()) as u64
    }
}

/// Kind of a file, in reading order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum FileKind {
    Program,
    Lane(u64),
    Journal(u64),
    /// A piece, preceded by the number of its region for sorting.
    Piece(u32, Piece),
    Spare,
}

impl FileKind {
    fn of(name: &str) -> Option<Self> {
        let numbered = |prefix: &str| name.strip_prefix(prefix)?.parse::<u64>().ok().filter(|number| format!("{prefix}{number}") == name);
        match name {
            program::NAME => Some(Self::Program),
            _ if name.starts_with("spare-") => Some(Self::Spare),
            _ => numbered("journal-")
                .map(Self::Journal)
                .or_else(|| numbered("lane-").map(Self::Lane))
                .or_else(|| piece::of(name).map(|piece| Self::Piece(piece::region(piece), piece))),
        }
    }
}
