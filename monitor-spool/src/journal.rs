//! What is numbered and not yet acknowledged: batches, appended to files that are removed once the server has all of them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use monitor_wire::{Dropped, RootId};
use serde::{Deserialize, Serialize};

use crate::SpoolError;
use crate::block::{self, Blocks, HEADER, Item, Magic};
use crate::body::{Parcel, Rejected};
use crate::folder::Folder;
use crate::sys::{self, Kept};

/// A file is closed when it is so long.
const FILE: u64 = 4 << 20;
/// A file is begun anew when all of it is acknowledged and it is so long.
const REUSE: u64 = 256 << 10;
/// A longer file is read so far.
pub(crate) const LONGEST_FILE: u64 = 2 * FILE + block::LONGEST as u64;
/// Trees whose losses are counted apart.
const COUNTED_TREES: usize = 1_000;

/// Events, and bytes as they are kept, that small batches are joined up to.
const JOINED_EVENTS: u64 = 5_000;
const JOINED_BYTES: usize = 256 << 10;

/// What is known when a batch is appended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Meta {
    /// How far each ring is read: number of the region, records taken.
    pub taken: BTreeMap<u32, u64>,
    /// Entries of the lane up to this one are in this batch or an earlier one.
    pub lane: u64,
    /// Starts among these entries that are in no batch yet, for they may come to be counted in a fold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<u64>,
    /// What was dropped since the program began, without what the journal itself [`dropped`](Journal::dropped), which it adds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
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

    fn of(word: u64) -> Option<Self> {
        [Self::Running, Self::Draft, Self::Last, Self::GivenUp].into_iter().find(|stage| *stage as u64 == word >> Self::BITS)
    }
}

/// Where a batch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: u64,
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
    pub(crate) first: u64,
    pub(crate) count: u64,
}

impl Place {
    pub(crate) fn last(&self) -> u64 {
        self.first.saturating_add(self.count).saturating_sub(1)
    }
}

/// Keeps batches until they are acknowledged, the oldest first. Beyond the folder's bound the oldest are given up, and counted.
#[derive(Debug)]
pub struct Journal {
    folder: Arc<Folder>,
    places: VecDeque<Place>,
    /// The files that are there, oldest first, and their bytes. The last one is written to.
    files: VecDeque<(u64, u64)>,
    current: Option<Kept>,
    made: u64,
    lost: Lost,
}

/// Events that the journal could not keep, by type, reason and tree.
#[derive(Debug, Default)]
struct Lost(BTreeMap<(String, &'static str, Option<RootId>), u64>);

impl Lost {
    fn add(&mut self, event: Rejected, reason: &'static str, count: u64) {
        let mut key = (event.event_type, reason, event.root_id);
        if self.0.len() >= COUNTED_TREES && !self.0.contains_key(&key) {
            key.2 = None;
        }
        *self.0.entry(key).or_default() += count;
    }

    fn add_all(&mut self, parcel: &Parcel, reason: &'static str) {
        let kinds = parcel.kinds();
        let unknown = parcel.count().saturating_sub(kinds.len() as u64);
        for kind in kinds {
            self.add(kind, reason, 1);
        }
        if unknown > 0 {
            self.add(Rejected { event_type: "unknown".to_owned(), root_id: None }, reason, unknown);
        }
    }
}

pub(crate) fn name(file: u64) -> String {
    format!("journal-{file}")
}

impl Journal {
    pub(crate) fn new(folder: Arc<Folder>) -> Self {
        Self { folder, places: VecDeque::new(), files: VecDeque::new(), current: None, made: 0, lost: Lost::default() }
    }

    /// The journal of a dead program: what stands at these places, in these files.
    pub(crate) fn open(folder: Arc<Folder>, places: VecDeque<Place>, files: VecDeque<(u64, u64)>) -> Self {
        let made = files.iter().map(|(file, _)| *file).max().unwrap_or(0);
        Self { folder, places, files, current: None, made, lost: Lost::default() }
    }

    /// Appends a batch. To make room it gives up the oldest ones.
    ///
    /// # Errors
    /// When nothing is left to give up, or the disk refuses: the batch is not kept, the others are.
    pub fn append(&mut self, parcel: &Parcel, meta: &Meta) -> Result<(), SpoolError> {
        self.append_as(Stage::Running, parcel, meta)
    }

    pub(crate) fn append_as(&mut self, stage: Stage, parcel: &Parcel, meta: &Meta) -> Result<(), SpoolError> {
        let is_done = self.places.is_empty();
        if self.current.is_none() || self.files.back().is_none_or(|(_, used)| *used >= self.file_bytes() || (is_done && *used >= REUSE)) {
            self.next_file()?;
        }
        let block = loop {
            let block = self.block(stage, parcel, meta).ok_or_else(|| self.folder.full())?;
            if self.folder.room().take_for_journal(block.len() as u64) {
                break block;
            }
            if !self.give_up_oldest() {
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
        self.places.push_back(Place { file: *file, offset: *used, bytes, first: parcel.first(), count: parcel.count() });
        *used += bytes;
        Ok(())
    }

    fn block(&self, stage: Stage, parcel: &Parcel, meta: &Meta) -> Option<Vec<u8>> {
        let dropped = merged(&meta.dropped, &self.dropped());
        let mut payload = serde_json::to_vec(&Meta { dropped, ..meta.clone() }).ok()?;
        let split = payload.len() as u64 | (stage as u64) << Stage::BITS;
        payload.extend_from_slice(parcel.frame());
        let (first, count) = (parcel.first(), parcel.count());
        (payload.len() <= block::LONGEST).then(|| block::block(self.folder.worker(), Magic::Record, first, count, split, &payload))
    }

    /// A small folder's files are smaller: it gives up one at a time.
    fn file_bytes(&self) -> u64 {
        FILE.min(self.folder.limit_bytes() / 8)
    }

    /// The oldest batch that is not acknowledged. One that can't be read is counted as lost, and the next one is read.
    pub fn front(&mut self) -> Option<Parcel> {
        loop {
            let place = *self.places.front()?;
            if let Some(parcel) = read(&self.folder, &place) {
                return Some(parcel);
            }
            self.count_damaged(place.count);
            self.places.pop_front();
        }
    }

    /// The oldest batches that are not acknowledged, as many as make a request of a good size: who is behind would else wait for
    /// an answer to each of many small ones.
    pub fn front_joined(&mut self) -> Option<Parcel> {
        let first = self.front()?;
        let (mut events, mut bytes, mut parcels) = (first.count(), first.bytes(), vec![first]);
        for place in self.places.iter().skip(1) {
            (events, bytes) = (events + place.count, bytes + place.bytes as usize);
            if events > JOINED_EVENTS || bytes > JOINED_BYTES || parcels.last().is_none_or(|before| before.last() + 1 != place.first) {
                break;
            }
            // One that can't be read is counted when it is the first.
            let Some(parcel) = read(&self.folder, place) else { break };
            parcels.push(parcel);
        }
        if parcels.len() > 1
            && let Some(joined) = Parcel::joined(&parcels)
        {
            Some(joined)
        } else {
            parcels.into_iter().next()
        }
    }

    /// Whether all is acknowledged.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Events that wait.
    pub fn waiting(&self) -> u64 {
        self.places.iter().map(|place| place.count).sum()
    }

    /// The server has all events up to this number, and [`Program::acknowledge`](crate::Program::acknowledge) knows it.
    pub fn acknowledge(&mut self, number: u64) {
        while self.places.front().is_some_and(|place| place.last() <= number) {
            self.places.pop_front();
        }
        // The last file stays: it says how far rings and lane are read.
        while self.files.len() > 1 && self.files.front().map(|(file, _)| *file) != self.places.front().map(|place| place.file) {
            self.remove_oldest_file();
        }
    }

    /// What it could not keep, since the program began: with the reason `spool` for want of room, `damaged` for what can't be read.
    pub fn dropped(&self) -> Vec<Dropped> {
        let dropped = self.lost.0.iter().map(|((event_type, reason, root_id), count)| Dropped {
            event_type: event_type.clone(),
            reason: (*reason).to_owned(),
            root_id: *root_id,
            count: *count,
        });
        dropped.collect()
    }

    /// Counts events that the server can't take.
    pub fn reject_all(&mut self, parcel: &Parcel) {
        self.lost.add_all(parcel, "rejected");
    }

    /// Counts an event that the server can't take.
    pub fn reject(&mut self, event: Rejected) {
        self.lost.add(event, "rejected", 1);
    }

    /// Counts events of batches that can't be read.
    pub(crate) fn count_damaged(&mut self, count: u64) {
        if count > 0 {
            self.lost.add(Rejected { event_type: "unknown".to_owned(), root_id: None }, "damaged", count);
        }
    }

    /// Counts a batch as given up for want of room.
    pub(crate) fn lose(&mut self, parcel: &Parcel) {
        self.lost.add_all(parcel, "spool");
    }

    /// Goes on in a new file.
    pub(crate) fn begin_anew(&mut self) -> Result<(), SpoolError> {
        self.next_file()
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

    /// Gives up the oldest file, except the one that is written to; `false` if there is no other.
    fn give_up_oldest(&mut self) -> bool {
        let Some((file, _)) = self.files.front().copied().filter(|_| self.files.len() > 1) else {
            return false;
        };
        while let Some(place) = self.places.front().copied().filter(|place| place.file == file) {
            let parcel = read(&self.folder, &place).unwrap_or_else(|| Parcel::kept(place.first, place.count, Vec::new()));
            self.lose(&parcel);
            self.places.pop_front();
        }
        self.remove_oldest_file();
        true
    }

    fn remove_oldest_file(&mut self) {
        if let Some((file, bytes)) = self.files.pop_front() {
            let _ = self.folder.dir().remove_file(&name(file));
            self.folder.room().give_back_of_journal(bytes);
        }
    }
}

/// Reads one batch again.
pub(crate) fn read(folder: &Folder, place: &Place) -> Option<Parcel> {
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
    for other in others {
        let is_same = |one: &&mut Dropped| (&one.event_type, &one.reason, one.root_id) == (&other.event_type, &other.reason, other.root_id);
        match all.iter_mut().find(is_same) {
            Some(same) => same.count = same.count.saturating_add(other.count),
            None => all.push(other.clone()),
        }
    }
    all
}

/// What a file of the journal holds.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) places: Vec<Place>,
    drafts: Vec<Place>,
    /// Of all batches together: the greatest position of each ring and of the lane, and the latest list of drops.
    pub(crate) meta: Meta,
    pub(crate) stage: Stage,
    /// Number after the last event of any batch.
    pub(crate) next: u64,
    /// Batches that can't be read.
    pub(crate) damaged: u64,
    /// The first numbers of those whose headers can be, and how many events they held.
    lost: Vec<(u64, u64)>,
}

impl Written {
    /// Events above this number that are known to have been in batches that can't be read.
    pub(crate) fn lost_since(&self, acknowledged: u64) -> u64 {
        let is_above = |(first, count): &&(u64, u64)| first.saturating_add(*count).saturating_sub(1) > acknowledged;
        self.lost.iter().filter(is_above).fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// Reads one more file. An event number counts up to 2^63.
    pub(crate) fn read(&mut self, worker: monitor_wire::WorkerId, file: u64, bytes: &[u8]) {
        for item in Blocks::new(worker, bytes) {
            let (at, header, payload) = match item {
                Item::Block { at, header, payload } if header.magic == Magic::Record => (at, header, payload),
                Item::Damaged { header } if header.magic == Magic::Record => {
                    self.damaged += 1;
                    self.lost.push((header.number, header.a));
                    self.next = self.next.max(header.number.saturating_add(header.a));
                    continue;
                }
                _ => {
                    self.damaged += 1;
                    continue;
                }
            };
            let meta = payload.get(..header.b as u32 as usize).and_then(|meta| serde_json::from_slice::<Meta>(meta).ok());
            let end = header.number.checked_add(header.a).filter(|end| i64::try_from(*end).is_ok() && header.number > 0);
            let (Some(meta), Some(end), Some(stage)) = (meta, end, Stage::of(header.b)) else {
                self.damaged += 1;
                continue;
            };
            let bytes = (HEADER + header.length) as u64;
            let place = Place { file, offset: at as u64, bytes, first: header.number, count: header.a };
            // What another one began to write, and did not finish.
            self.drafts.retain(|draft| draft.last() < place.first);
            match stage {
                Stage::Running => {}
                Stage::Draft => {
                    self.drafts.push(place);
                    continue;
                }
                Stage::Last => self.places.append(&mut self.drafts),
                Stage::GivenUp => self.places.clear(),
            }
            if stage != Stage::Running {
                self.stage = stage;
            }
            for (region, taken) in &meta.taken {
                let all = self.meta.taken.entry(*region).or_default();
                *all = (*all).max(*taken);
            }
            self.meta.lane = self.meta.lane.max(meta.lane);
            if end >= self.next {
                (self.meta.dropped, self.meta.held) = (meta.dropped, meta.held);
                self.next = end;
            }
            if place.count > 0 {
                self.places.push(place);
            }
        }
    }
}
