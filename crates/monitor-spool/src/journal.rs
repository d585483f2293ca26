//! What is numbered and not yet acknowledged: batches, appended to files that are removed once the server has all of them.

mod evict;
#[cfg(feature = "read")]
mod read;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;

use crate::block::{self, Magic};
use crate::folder::Folder;
use crate::lost::Lost;
use crate::parcel::Parcel;
use crate::sys::{self, Kept};
use crate::wire::Dropped;
use crate::{SpoolError, json};

#[cfg(feature = "read")]
pub(crate) use read::{LONGEST_FILE, Written};

/// A file is closed when it is so long.
const FILE: u64 = 4 << 20;
/// A file is begun anew when all of it is acknowledged and it is so long.
const REUSE: u64 = 256 << 10;

/// What is known when a batch is appended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "read", derive(serde::Serialize, serde::Deserialize))]
pub struct Meta {
    /// How far each ring is read: number of the region, records taken.
    pub taken: BTreeMap<u32, u64>,
    /// Entries of the lane up to this one are in this batch or an earlier one.
    pub lane: u64,
    /// Starts among these entries that are in no batch yet, for they may come to be counted in a fold.
    #[cfg_attr(feature = "read", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub held: Vec<u64>,
    /// Tests that were found to run for more than a second, by the ids of their processes.
    #[cfg_attr(feature = "read", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub slow_tests: Vec<u64>,
    /// What was dropped since the program began, without what the journal itself [`dropped`](Journal::dropped), which it adds.
    #[cfg_attr(feature = "read", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub dropped: Vec<Dropped>,
}

/// Who wrote a batch, in the life of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Stage {
    /// The program.
    #[default]
    Running,
    /// Somebody after the program's end who had more to write: without a [`Last`](Self::Last) behind it it was never sent.
    Draft,
    /// Somebody after the program's end: rings and lane are in the journal.
    Last,
    /// All before it was given up: it only tells what was dropped.
    GivenUp,
}

impl Stage {
    const BITS: u32 = 32;
}

/// Where a batch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchPlace {
    pub(crate) file: u64,
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
    pub(crate) first: u64,
    pub(crate) count: u64,
}

impl BatchPlace {
    pub(crate) fn last(&self) -> u64 {
        self.first.saturating_add(self.count).saturating_sub(1)
    }
}

/// Keeps batches until they are acknowledged, the oldest first. Beyond the folder's bound the oldest are given up, and counted.
#[derive(Debug)]
pub struct Journal {
    folder: Arc<Folder>,
    places: VecDeque<BatchPlace>,
    /// The files that are there, oldest first, and their bytes. The last one is written to.
    files: VecDeque<(u64, u64)>,
    current: Option<Kept>,
    made: u64,
    /// Number of the last event that somebody is just sending.
    under_way: u64,
    /// Files of which only the events are left that are to be kept.
    given_up: BTreeSet<u64>,
    /// What was known with the last batch.
    last: Meta,
    /// The number behind the last batch.
    next: u64,
    lost: Lost,
}

pub(crate) fn name(file: u64) -> String {
    format!("journal-{file}")
}

/// The number of a file of the journal.
#[cfg(feature = "read")]
pub(crate) fn number(name: &str) -> Option<u64> {
    name.strip_prefix("journal-")?.parse().ok()
}

impl Journal {
    pub(crate) fn new(folder: Arc<Folder>) -> Self {
        Self::of(folder, VecDeque::new(), VecDeque::new(), 0)
    }

    fn of(folder: Arc<Folder>, places: VecDeque<BatchPlace>, files: VecDeque<(u64, u64)>, made: u64) -> Self {
        Self {
            folder,
            places,
            files,
            current: None,
            made,
            under_way: 0,
            given_up: BTreeSet::new(),
            last: Meta::default(),
            next: 1,
            lost: Lost::default(),
        }
    }

    /// Appends a batch. To make room within the bound it gives up the oldest events; a batch that has more than the journal may ever
    /// hold is given up itself.
    ///
    /// # Errors
    /// When nothing is left to give up, or the disk refuses: the batch is not kept, the others are.
    pub fn append(&mut self, parcel: &Parcel, meta: &Meta) -> Result<(), SpoolError> {
        self.append_as(Stage::Running, parcel, meta)
    }

    /// As [`append`](Self::append), where the batch has no other place to be: if the disk is full, older events are given up for it,
    /// and if that doesn't help, it is given up itself. Both are counted. Returns the first reason to give up anything.
    pub fn append_on_full_disk(&mut self, parcel: &Parcel, meta: &Meta) -> Option<SpoolError> {
        let mut first = None;
        loop {
            match self.append(parcel, meta) {
                Ok(()) => return first,
                Err(error) => {
                    let is_full = matches!(&error, SpoolError::Disk { source, .. } if is_full(source));
                    let may_try = is_full && self.give_up_oldest(true);
                    first.get_or_insert(error);
                    if !may_try {
                        self.lose(parcel);
                        return first;
                    }
                }
            }
        }
    }

    pub(crate) fn append_as(&mut self, stage: Stage, parcel: &Parcel, meta: &Meta) -> Result<(), SpoolError> {
        let is_done = self.places.is_empty();
        if self.current.is_none() || self.files.back().is_none_or(|(_, used)| *used >= self.file_bytes() || (is_done && *used >= REUSE)) {
            self.next_file()?;
        }
        let block = loop {
            let with_drops = Meta { dropped: merged(&meta.dropped, &self.dropped()), ..meta.clone() };
            let Some(block) = self.block(stage, parcel, &with_drops) else {
                self.lose(parcel);
                return Ok(());
            };
            if self.folder.room().take_for_journal(block.len() as u64) {
                break block;
            }
            if block.len() as u64 > self.folder.room().journal_limit() {
                self.lose(parcel);
                return Ok(());
            }
            if !self.give_up_oldest(false) {
                return Err(self.folder.full());
            }
        };
        let bytes = block.len() as u64;
        let (Some((file, used)), Some(current)) = (self.files.back_mut(), &self.current) else { return Err(self.folder.full()) };
        let written = current.get().and_then(|current| {
            // What is written of it when this fails is no block, and the next one will stand over it.
            sys::write_at(current, &block, *used).inspect_err(|_| drop(current.set_len(*used)))
        });
        if let Err(source) = written {
            self.folder.room().give_back_of_journal(bytes);
            return Err(SpoolError::disk("write", self.folder.path().join(name(*file)))(source));
        }
        self.places.push_back(BatchPlace { file: *file, offset: *used, bytes, first: parcel.first(), count: parcel.count() });
        *used += bytes;
        self.given_up.remove(file);
        self.last = meta.clone();
        self.next = self.next.max(parcel.last().saturating_add(1));
        Ok(())
    }

    fn block(&self, stage: Stage, parcel: &Parcel, meta: &Meta) -> Option<Vec<u8>> {
        let mut payload = json::meta(meta);
        let split = payload.len() as u64 | (stage as u64) << Stage::BITS;
        payload.extend_from_slice(parcel.frame());
        let (first, count) = (parcel.first(), parcel.count());
        (payload.len() <= block::LONGEST).then(|| block::block(self.folder.worker(), Magic::Record, first, count, split, &payload))
    }

    /// A small folder's files are smaller: it gives up one at a time.
    fn file_bytes(&self) -> u64 {
        FILE.min(self.folder.limit_bytes() / 8)
    }

    /// Whether all is acknowledged.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Number of the first event that is not acknowledged.
    pub fn first_waiting(&self) -> Option<u64> {
        self.places.front().map(|place| place.first)
    }

    /// Number of the last event that is not acknowledged.
    pub fn last_waiting(&self) -> Option<u64> {
        self.places.back().map(BatchPlace::last)
    }

    /// Events that wait.
    pub fn waiting(&self) -> u64 {
        self.places.iter().fold(0, |sum, place| sum.saturating_add(place.count))
    }

    /// The server has all events up to this number, and [`Program::acknowledge`](crate::Program::acknowledge) knows it, or it is
    /// what was [`followed`](crate::Program::followed).
    pub fn acknowledge(&mut self, number: u64) {
        while self.places.front().is_some_and(|place| place.last() <= number) {
            self.places.pop_front();
        }
        // The last file stays: it says how far rings and lane are read.
        while self.files.len() > 1 && self.files.front().map(|(file, _)| *file) != self.places.front().map(|place| place.file) {
            self.remove_file(0);
        }
    }

    /// What it could not keep, since the program began: with the reason `spool` for want of room, `damaged` for what can't be read.
    pub fn dropped(&self) -> Vec<Dropped> {
        self.lost.dropped().collect()
    }

    /// Counts a batch as given up for want of room.
    pub(crate) fn lose(&mut self, parcel: &Parcel) {
        self.lost.add_all(parcel, "spool");
    }

    fn next_file(&mut self) -> Result<(), SpoolError> {
        let number = self.made + 1;
        let path = self.folder.path().join(name(number));
        let file = self.folder.dir().new_file(&name(number)).and_then(Kept::new).map_err(SpoolError::disk("create", path))?;
        self.made = number;
        self.files.push_back((number, 0));
        self.current = Some(file);
        Ok(())
    }

    fn remove_file(&mut self, at: usize) {
        if let Some((file, bytes)) = self.files.remove(at) {
            let _ = self.folder.dir().remove_file(&name(file));
            self.given_up.remove(&file);
            self.folder.room().give_back_of_journal(bytes);
        }
    }
}

/// Returns true if the operating system says that there is no room.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

/// Reads one batch again.
fn read_place(folder: &Folder, place: &BatchPlace) -> Option<Parcel> {
    let file = folder.dir().file(&name(place.file), false).ok()?;
    let mut bytes = vec![0; usize::try_from(place.bytes).ok()?];
    let read = sys::read_at(&file, &mut bytes, place.offset).ok()?;
    let (header, payload) = block::read_one(folder.worker(), &bytes[..read])?;
    let (_, frame) = payload.split_at_checked(header.b as u32 as usize)?;
    (header.number == place.first && header.a == place.count).then(|| Parcel::kept(header.number, header.a, frame.to_vec()))
}

/// The same counts together.
pub(crate) fn merged(all: &[Dropped], others: &[Dropped]) -> Vec<Dropped> {
    let mut all = all.to_vec();
    if all.is_empty() {
        return others.to_vec();
    }
    for other in others {
        let is_same = |one: &&mut Dropped| (&one.event_type, &one.reason, one.root_id) == (&other.event_type, &other.reason, other.root_id);
        match all.iter_mut().find(is_same) {
            Some(same) => same.count = same.count.saturating_add(other.count),
            None => all.push(other.clone()),
        }
    }
    all
}
