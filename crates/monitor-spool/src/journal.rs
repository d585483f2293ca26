//! The journal: numbered batches that are not acknowledged yet. Batches are appended to files, and a file is removed once the server has
//! all its events.

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

/// Size at which a file is closed.
const FILE: u64 = 4 << 20;
/// Minimum size at which a fully acknowledged file is truncated and reused.
const REUSE: u64 = 256 << 10;

/// Recording positions stored with a batch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "read", derive(serde::Serialize, serde::Deserialize))]
pub struct Meta {
    /// Number of records taken from each ring, by number of the region.
    pub taken: BTreeMap<u32, u64>,
    /// Number of the last lane entry in this batch or an earlier one.
    pub lane: u64,
    /// Starts among these entries that are in no batch yet, because they may be folded.
    #[cfg_attr(feature = "read", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub held: Vec<u64>,
    /// Ids of tests that have run for more than a second.
    #[cfg_attr(feature = "read", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub slow_tests: Vec<u64>,
    /// Dropped events since the program started, except those that the journal itself [`dropped`](Journal::dropped), which it adds.
    #[cfg_attr(feature = "read", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub dropped: Vec<Dropped>,
}

/// Writer of a batch, in the life of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Stage {
    /// The recording program.
    #[default]
    Running,
    /// A process after the program's end, with more batches to follow. Unless a [`Last`](Self::Last) follows, the batch was never sent.
    Draft,
    /// A process after the program's end. Rings and lane are completely in the journal.
    Last,
    /// A batch without events that reports the drop of all earlier batches.
    GivenUp,
}

impl Stage {
    const BITS: u32 = 32;
}

/// Position of a batch.
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

/// Stores batches until they are acknowledged. If the size limit of the folder is exceeded, the oldest are dropped and counted.
#[derive(Debug)]
pub struct Journal {
    folder: Arc<Folder>,
    places: VecDeque<BatchPlace>,
    /// Existing files with their sizes, oldest first. The last file is appended to.
    files: VecDeque<(u64, u64)>,
    current: Option<Kept>,
    made: u64,
    /// Number of the last event that is being sent.
    under_way: u64,
    /// Files that were already reduced to the events that must be kept.
    given_up: BTreeSet<u64>,
    /// Recording positions of the last batch.
    last: Meta,
    /// Number after the last batch.
    next: u64,
    lost: Lost,
}

pub(crate) fn name(file: u64) -> String {
    format!("journal-{file}")
}

/// Returns the number of a journal file.
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

    /// Appends a batch. If the limit is exceeded, the oldest events are dropped. A batch larger than the limit is dropped itself.
    ///
    /// # Errors
    /// If nothing is left to drop, or the disk refuses. The batch is not stored; the others are unchanged.
    pub fn append(&mut self, parcel: &Parcel, meta: &Meta) -> Result<(), SpoolError> {
        self.append_as(Stage::Running, parcel, meta)
    }

    /// Like [`append`](Self::append), for a batch that can be stored nowhere else. If the disk is full, older events are dropped, and if
    /// that does not help, the batch itself. Both are counted. Returns the first error that caused a drop.
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
            // A partly written block is invalid, and the next block overwrites it.
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

    /// Returns the maximum size of a file. It is smaller in a small folder, so that dropping a file drops only a part.
    fn file_bytes(&self) -> u64 {
        FILE.min(self.folder.limit_bytes() / 8)
    }

    /// Returns true if all events are acknowledged.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Returns the number of the first unacknowledged event.
    pub fn first_waiting(&self) -> Option<u64> {
        self.places.front().map(|place| place.first)
    }

    /// Returns the number of the last unacknowledged event.
    pub fn last_waiting(&self) -> Option<u64> {
        self.places.back().map(BatchPlace::last)
    }

    /// Returns the number of unacknowledged events.
    pub fn waiting(&self) -> u64 {
        self.places.iter().fold(0, |sum, place| sum.saturating_add(place.count))
    }

    /// Removes all events up to `number`. Call it after [`Program::acknowledge`](crate::Program::acknowledge) has stored the number, or
    /// with the number [`followed`](crate::Program::followed).
    pub fn acknowledge(&mut self, number: u64) {
        while self.places.front().is_some_and(|place| place.last() <= number) {
            self.places.pop_front();
        }
        // The last file stays, because it contains the recording positions of rings and lane.
        while self.files.len() > 1 && self.files.front().map(|(file, _)| *file) != self.places.front().map(|place| place.file) {
            self.remove_file(0);
        }
    }

    /// Returns the events dropped by the journal since the program started, with the reason `spool` for lack of space and `damaged` for
    /// unreadable data.
    pub fn dropped(&self) -> Vec<Dropped> {
        self.lost.dropped().collect()
    }

    /// Counts a batch as dropped for lack of space.
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

/// Returns true if the error means that no space is left.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

/// Reads a batch.
fn read_place(folder: &Folder, place: &BatchPlace) -> Option<Parcel> {
    let file = folder.dir().file(&name(place.file), false).ok()?;
    let mut bytes = vec![0; usize::try_from(place.bytes).ok()?];
    let read = sys::read_at(&file, &mut bytes, place.offset).ok()?;
    let (header, payload) = block::read_one(folder.worker(), &bytes[..read])?;
    let (_, frame) = payload.split_at_checked(header.b as u32 as usize)?;
    (header.number == place.first && header.a == place.count).then(|| Parcel::kept(header.number, header.a, frame.to_vec()))
}

/// Adds two lists of counts.
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
