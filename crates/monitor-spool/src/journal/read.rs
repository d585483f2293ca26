//! Reads the journal, written by the program or by an earlier replay.

use std::collections::VecDeque;
use std::sync::Arc;

use monitor_wire::WorkerId;

use super::{BatchPlace, FILE, Journal, Meta, Stage, read_place};
use crate::SpoolError;
use crate::block::{self, Blocks, HEADER, Item, Magic};
use crate::folder::Folder;
use crate::parcel::{Parcel, Rejected};

/// Maximum number of bytes read from a file.
pub(crate) const LONGEST_FILE: u64 = 2 * FILE + block::LONGEST as u64;
/// Maximum number of events, and of stored bytes, of a joined batch.
const JOINED_EVENTS: u64 = 5_000;
const JOINED_BYTES: usize = 256 << 10;

impl Stage {
    fn of(word: u64) -> Option<Self> {
        [Self::Running, Self::Draft, Self::Last, Self::GivenUp].into_iter().find(|stage| *stage as u64 == word >> Self::BITS)
    }
}

impl Journal {
    /// Opens the journal of a dead program with the batches and files that were found.
    pub(crate) fn open(folder: Arc<Folder>, places: VecDeque<BatchPlace>, files: VecDeque<(u64, u64)>) -> Self {
        let made = files.iter().map(|(file, _)| *file).max().unwrap_or(0);
        Self::of(folder, places, files, made)
    }

    /// Returns the oldest unacknowledged batch. An unreadable batch is counted as lost and skipped.
    pub fn front(&mut self) -> Option<Parcel> {
        loop {
            let place = *self.places.front()?;
            if let Some(parcel) = read_place(&self.folder, &place) {
                return Some(parcel);
            }
            self.count_damaged(place.count);
            self.places.pop_front();
        }
    }

    /// Returns the oldest unacknowledged batches, joined up to a reasonable request size. Otherwise a sender with a backlog would wait for
    /// an answer to each of many small batches. While other events can be dropped, these are not.
    pub fn front_joined(&mut self) -> Option<Parcel> {
        let parcel = self.joined()?;
        self.under_way = parcel.last();
        Some(parcel)
    }

    fn joined(&mut self) -> Option<Parcel> {
        let first = self.front()?;
        let (mut events, mut bytes, mut parcels) = (first.count(), first.bytes(), vec![first]);
        for place in self.places.iter().skip(1) {
            (events, bytes) = (events.saturating_add(place.count), bytes.saturating_add(place.bytes as usize));
            if events > JOINED_EVENTS || bytes > JOINED_BYTES || parcels.last().is_none_or(|before| before.last() + 1 != place.first) {
                break;
            }
            // An unreadable batch is counted when it is the first.
            let Some(parcel) = read_place(&self.folder, place) else { break };
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

    /// Returns all unacknowledged batches, oldest first. Unreadable batches are skipped.
    pub(crate) fn batches(&self) -> impl Iterator<Item = Parcel> {
        self.places.iter().filter_map(|place| read_place(&self.folder, place))
    }

    /// Counts all events of a parcel as rejected by the server.
    pub fn reject_all(&mut self, parcel: &Parcel) {
        self.lost.add_all(parcel, "rejected");
    }

    /// Counts an event as rejected by the server.
    pub fn reject(&mut self, event: Rejected) {
        self.lost.add(event, "rejected", 1);
    }

    /// Counts events of unreadable batches.
    pub(crate) fn count_damaged(&mut self, count: u64) {
        self.lost.add_unknown("damaged", count);
    }

    /// Starts a new file.
    pub(crate) fn begin_anew(&mut self) -> Result<(), SpoolError> {
        self.next_file()
    }
}

/// Content of the journal files.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) places: Vec<BatchPlace>,
    drafts: Vec<BatchPlace>,
    /// Merged over all batches: the greatest position of each ring and of the lane, and the latest list of dropped events.
    pub(crate) meta: Meta,
    pub(crate) stage: Stage,
    /// Number after the last event of any batch.
    pub(crate) next: u64,
    /// Number of unreadable batches.
    pub(crate) damaged: u64,
    /// First number and count of events of unreadable batches with a valid header.
    lost: Vec<(u64, u64)>,
}

impl Written {
    /// Returns the number of events above `acknowledged` that are known to be in unreadable batches.
    pub(crate) fn lost_since(&self, acknowledged: u64) -> u64 {
        let is_above = |(first, count): &&(u64, u64)| first.saturating_add(*count).saturating_sub(1) > acknowledged;
        self.lost.iter().filter(is_above).fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// Forgets batches whose writing was interrupted, for example by the end of the program. The program stores `next` only after a batch
    /// is written, so the events of an unfinished batch are still in the rings and the lane.
    pub(crate) fn leave_out_unfinished(&mut self, next: u64) {
        let before = self.lost.len();
        self.lost.retain(|(first, _)| *first < next);
        self.damaged -= (before - self.lost.len()) as u64;
    }

    /// Reads another file. Event numbers are valid up to 2^63.
    pub(crate) fn read(&mut self, worker: WorkerId, file: u64, bytes: &[u8]) {
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
            let place = BatchPlace { file, offset: at as u64, bytes, first: header.number, count: header.a };
            // A draft that another process started to write and did not finish.
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
