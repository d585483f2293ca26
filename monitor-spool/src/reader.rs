//! Reads what a program left, or is just writing: from plain bytes, which may be damaged or made up.

mod calls;
mod folds;
pub mod fuzz;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};

use monitor_core::image::{self, Image};
use monitor_core::keep::Piece;
use monitor_wire::WorkerId;

use crate::block::{Blocks, Item, Magic};
use crate::program;
use crate::sys::{self, Dir};
use crate::{journal, piece};

pub(crate) use calls::events;

/// Files are not read further, whatever their length is.
const LONGEST_FILE: u64 = 1 << 30;

/// All that a folder holds.
#[derive(Debug, Default)]
pub(crate) struct Estate {
    pub(crate) program: program::Written,
    pub(crate) journal: journal::Written,
    /// The journal's files, oldest first, and their bytes.
    pub(crate) files: Vec<(u64, u64)>,
    /// Entries of the lane, in their order.
    pub(crate) entries: Vec<Queued>,
    pub(crate) damaged_entries: u64,
    /// By the number of the region.
    pub(crate) images: BTreeMap<u32, Image>,
    /// Files that hold neither program nor journal.
    pub(crate) memory: Vec<String>,
    pub(crate) bytes: u64,
    pub(crate) changed_us: u64,
    /// Files that can't be read, and why.
    pub(crate) problems: Vec<String>,
}

/// An entry of the lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Queued {
    pub(crate) number: u64,
    /// Whether it is the words of a failure.
    pub(crate) is_words: bool,
    /// Ticks when it began, or the process that failed.
    pub(crate) a: u64,
    /// Ticks when it was recorded.
    pub(crate) at: u64,
    pub(crate) json: Vec<u8>,
}

/// What one region consists of.
#[derive(Debug, Default)]
struct Region {
    memory: Vec<u8>,
    segments: Vec<(u64, Vec<u8>)>,
    chunks: Vec<Vec<u8>>,
    folds: Vec<Vec<u8>>,
}

impl Region {
    fn read(&self, taken: Option<u64>) -> Image {
        let segments: Vec<(u64, &[u8])> = self.segments.iter().map(|(base, bytes)| (*base, &bytes[..])).collect();
        let chunks: Vec<&[u8]> = self.chunks.iter().map(|chunk| &chunk[..]).collect();
        let taken = taken.unwrap_or_else(|| image::taken(&self.memory));
        let folds: Vec<&[u8]> = self.folds.iter().map(|folds| &folds[..]).collect();
        image::read(&self.memory, &segments, &chunks, &folds, taken)
    }
}

impl Estate {
    /// Reads a folder. What can't be read is among the problems.
    pub(crate) fn read(dir: &Dir, worker: WorkerId) -> Self {
        let mut estate = Self::default();
        let names = dir.names().unwrap_or_else(|error| {
            estate.problems.push(format!("the folder: {error}"));
            Vec::new()
        });
        let mut found: Vec<(Kind, String)> = names.into_iter().filter_map(|name| Some((Kind::of(&name)?, name))).collect();
        // The lane before the rings, and the rings before the journal: what a living program moves on meanwhile is seen twice, not never.
        found.sort();
        let mut regions = BTreeMap::<u32, Region>::new();
        for (kind, name) in found {
            match estate.file(dir, &name) {
                Ok(bytes) => estate.take(worker, kind, name, bytes, &mut regions),
                Err(error) => estate.problems.push(format!("{name}: {error}")),
            }
        }
        estate.settle(&regions);
        estate
    }

    fn take(&mut self, worker: WorkerId, kind: Kind, name: String, bytes: Vec<u8>, regions: &mut BTreeMap<u32, Region>) {
        match kind {
            Kind::Program => self.program = program::Written::read(worker, &bytes),
            Kind::Journal(number) => {
                self.files.push((number, bytes.len() as u64));
                self.journal.read(worker, number, &bytes);
            }
            Kind::Lane(_) => {
                self.memory.push(name);
                self.lane(worker, &bytes);
            }
            Kind::Piece(piece) => {
                self.memory.push(name);
                match piece {
                    Piece::Region(region) => regions.entry(region).or_default().memory = bytes,
                    Piece::Segment { region, base } => regions.entry(region).or_default().segments.push((base, bytes)),
                    Piece::Chunk { region, .. } => regions.entry(region).or_default().chunks.push(bytes),
                    Piece::Folds { region, .. } => regions.entry(region).or_default().folds.push(bytes),
                }
            }
            Kind::Spare => self.memory.push(name),
        }
    }

    /// Leaves out what is in the journal already.
    fn settle(&mut self, regions: &BTreeMap<u32, Region>) {
        let is_over = self.program.is_given_up || self.journal.stage != journal::Stage::Running;
        let layout = self.program.header.map(|(layout, _)| layout);
        if is_over {
            self.entries.clear();
        } else if layout.is_some_and(|layout| layout != u64::from(image::LAYOUT)) {
            self.problems.push(format!("the rings: of layout {}, this build reads {}", layout.unwrap_or(0), image::LAYOUT));
        } else {
            let taken = &self.journal.meta.taken;
            self.images = regions.iter().map(|(region, bytes)| (*region, bytes.read(taken.get(region).copied()))).collect();
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

    fn file(&mut self, dir: &Dir, name: &str) -> std::io::Result<Vec<u8>> {
        let file = dir.file(name, false)?;
        let status = sys::file_status(&file)?;
        self.bytes += status.bytes;
        self.changed_us = self.changed_us.max(status.changed_us);
        let longest = match Kind::of(name) {
            Some(Kind::Journal(_)) => journal::LONGEST_FILE,
            Some(Kind::Spare) => 0,
            _ => LONGEST_FILE,
        };
        let mut bytes = Vec::new();
        let length = status.bytes.min(longest) as usize;
        bytes.try_reserve_exact(length)?;
        bytes.resize(length, 0);
        let read = sys::read_at(&file, &mut bytes, 0)?;
        bytes.truncate(read);
        Ok(bytes)
    }

    /// Number of the next event that was never sent.
    pub(crate) fn next(&self) -> u64 {
        match &self.program.state {
            Some(state) => state.next.max(self.journal.next),
            // Beats may have been sent that stand nowhere else.
            None => self.journal.next.saturating_add(if self.program.damaged > 0 { 1 << 20 } else { 0 }),
        }
        .max(1)
    }

    pub(crate) fn acknowledged(&self) -> u64 {
        self.program.state.map_or(0, |state| state.acknowledged)
    }

    pub(crate) fn damaged(&self) -> u64 {
        let rings = self.images.values().map(|image| image.damaged).sum::<u64>();
        self.program.damaged + self.journal.damaged + self.damaged_entries + rings
    }

    /// Records of the rings and entries of the lane that are not in the journal.
    pub(crate) fn unread(&self) -> u64 {
        let rings: usize = self.images.values().map(|image| image.ended.len() + image.running.len()).sum();
        (rings + self.entries.iter().filter(|entry| !entry.is_words).count()) as u64
    }
}

/// What a file is, in the order in which they are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Program,
    Lane(u64),
    Piece(Piece),
    Spare,
    Journal(u64),
}

impl Kind {
    fn of(name: &str) -> Option<Self> {
        let numbered = |prefix: &str| name.strip_prefix(prefix)?.parse::<u64>().ok().filter(|number| format!("{prefix}{number}") == name);
        match name {
            program::NAME => Some(Self::Program),
            _ if name.starts_with("spare-") => Some(Self::Spare),
            _ => numbered("journal-")
                .map(Self::Journal)
                .or_else(|| numbered("lane-").map(Self::Lane))
                .or_else(|| piece::of(name).map(Self::Piece)),
        }
    }
}
