//! Drops the oldest file for lack of space, but keeps events that the remaining events depend on.
//!
//! A start whose end is not in the same file belongs to a process that other events need: the root of a tree, or an open call with
//! children. Its end may be in a later file, or not recorded yet. Therefore a start or an end is kept, unless its counterpart is in the
//! same file and dropped with it. Kept events keep their numbers and are written to the beginning of the file.

use std::collections::HashMap;

use super::{BatchPlace, Journal, Meta, Stage, merged, name};
use crate::events::{Known, split};
use crate::parcel::{Parcel, Rejected};
use crate::{SpoolError, sys};

/// Divisor: at most this fraction of a file is kept.
const KEPT: u64 = 8;

/// Division of the events of a file.
#[derive(Debug, Default)]
struct Split {
    /// Kept events. Consecutive events form one parcel.
    kept: Vec<Parcel>,
    lost: Vec<Rejected>,
    /// Number of unreadable events.
    unknown: u64,
}

impl Journal {
    /// Drops events of the oldest file that contains droppable events. The file being appended to is used last, and files being sent are
    /// used only if there is no other. Returns false if nothing is left to drop.
    pub(super) fn give_up_oldest(&mut self, with_current: bool) -> bool {
        let is_under_way = |file: u64| self.places.iter().any(|place| place.file == file && place.first <= self.under_way);
        let others = self.files.len().saturating_sub(1);
        let older = || (0..others).filter(|at| self.files[*at].1 > 0);
        let fresh = older().find(|at| !self.given_up.contains(&self.files[*at].0) && !is_under_way(self.files[*at].0));
        let fresh = fresh.or_else(|| older().find(|at| !self.given_up.contains(&self.files[*at].0)));
        let current =
            || (with_current && self.files.back().is_some_and(|(file, used)| *used > 0 && !self.given_up.contains(file))).then_some(others);
        if let Some(at) = fresh.or_else(current) {
            self.cut_down(at);
            return true;
        }
        // If nothing else is left, drop the kept events of the oldest file.
        let Some(at) = older().next() else { return false };
        for place in self.take_places(self.files[at].0) {
            let parcel = self.read_again(&place);
            self.lose(&parcel);
        }
        self.remove_file(at);
        true
    }

    /// Reduces a file to the events that must be kept. Of the file being appended to, only the oldest quarter is dropped, because on a
    /// small disk it may be the only file.
    fn cut_down(&mut self, at: usize) {
        let (file, bytes) = self.files[at];
        let places = self.take_places(file);
        let mut parcels: Vec<Parcel> = places.iter().map(|place| self.read_again(place)).collect();
        let is_current = at + 1 == self.files.len();
        let quarter = places.partition_point(|place| place.offset < bytes / 4).max(1);
        let mut newer = if is_current && quarter < parcels.len() { parcels.split_off(quarter) } else { Vec::new() };
        let mut split_up = divide(&parcels, bytes / KEPT);
        if split_up.lost.is_empty() && split_up.unknown == 0 {
            // Nothing in that part can be dropped. Include the rest of the file.
            parcels.append(&mut newer);
            split_up = divide(&parcels, bytes / KEPT);
        }
        let Split { mut kept, lost, unknown } = split_up;
        for event in lost {
            self.lost.add(event, "spool", 1);
        }
        self.lost.add_unknown("spool", unknown);
        if newer.is_empty() {
            self.given_up.insert(file);
        }
        kept.append(&mut newer);
        if self.put_down(at, &kept).is_err() {
            for parcel in &kept {
                self.lose(parcel);
            }
            if at + 1 < self.files.len() {
                self.remove_file(at);
            }
        }
    }

    /// Overwrites a file. If the program is killed in between, some events exist twice, with equal numbers.
    fn put_down(&mut self, at: usize, kept: &[Parcel]) -> Result<(), SpoolError> {
        let (number, before) = self.files[at];
        let is_current = at + 1 == self.files.len();
        let (mut bytes, mut places) = (Vec::new(), Vec::new());
        let last = Meta { dropped: merged(&self.last.dropped, &self.dropped()), ..self.last.clone() };
        for (index, parcel) in kept.iter().enumerate() {
            // The last block of the journal must contain the recording positions and the dropped events.
            let meta = if index + 1 == kept.len() { last.clone() } else { Meta::default() };
            let Some(block) = self.block(Stage::Running, parcel, &meta) else { continue };
            let length = block.len() as u64;
            places.push(BatchPlace {
                file: number,
                offset: bytes.len() as u64,
                bytes: length,
                first: parcel.first(),
                count: parcel.count(),
            });
            bytes.extend_from_slice(&block);
        }
        if places.is_empty() && !is_current {
            self.remove_file(at);
            return Ok(());
        }
        if places.is_empty() {
            bytes = self.block(Stage::Running, &Parcel::plain(self.next, 0, b"[]"), &last).unwrap_or_default();
        }
        let file = self.folder.dir().file(&name(number), true);
        let written = file.and_then(|file| {
            sys::write_at(&file, &bytes, 0)?;
            file.set_len(bytes.len() as u64)
        });
        written.map_err(SpoolError::disk("write", self.folder.path().join(name(number))))?;
        self.folder.room().give_back_of_journal(before.saturating_sub(bytes.len() as u64));
        self.files[at].1 = bytes.len() as u64;
        let behind = self.places.iter().position(|place| self.files.iter().position(|(file, _)| *file == place.file) > Some(at));
        let behind = behind.unwrap_or(self.places.len());
        let rest = self.places.split_off(behind);
        self.places.extend(places);
        self.places.extend(rest);
        Ok(())
    }

    fn take_places(&mut self, file: u64) -> Vec<BatchPlace> {
        let (taken, left) = std::mem::take(&mut self.places).into_iter().partition::<Vec<_>, _>(|place| place.file == file);
        self.places = left.into();
        taken
    }

    /// Reads a batch. Returns a parcel without content if it is unreadable.
    fn read_again(&self, place: &BatchPlace) -> Parcel {
        super::read_place(&self.folder, place).unwrap_or_else(|| Parcel::kept(place.first, place.count, Vec::new()))
    }
}

/// Divides the events of a file into kept events, up to `limit` bytes, and dropped events.
fn divide(parcels: &[Parcel], limit: u64) -> Split {
    let jsons: Vec<Vec<u8>> = parcels.iter().map(|parcel| parcel.json().unwrap_or_default()).collect();
    let (mut split_up, mut events) = (Split::default(), Vec::new());
    for (parcel, json) in parcels.iter().zip(&jsons) {
        match split(json).filter(|events| events.len() as u64 == parcel.count()) {
            Some(found) => events.extend((parcel.first()..).zip(found).map(|(number, event)| (number, event, Known::of(event)))),
            None => split_up.unknown += parcel.count(),
        }
    }
    // Number of starts minus ends of each process. For restarted processes the number may be odd, which only keeps too many events.
    let mut halves = HashMap::<_, i64>::new();
    let half = |known: &Known<'_>| match known.event_type? {
        "process-started" => Some(1),
        "process-ended" => Some(-1),
        _ => None,
    };
    for (_, _, known) in &events {
        if let Some(half) = half(known) {
            *halves.entry((known.root_id, known.id)).or_default() += half;
        }
    }
    let (mut left, mut row) = (limit, (0, Vec::<u8>::new(), 0));
    for (number, event, known) in &events {
        let is_half = half(known).is_some_and(|_| halves[&(known.root_id, known.id)] != 0);
        let is_worker = known.event_type.is_some_and(|event_type| event_type == "worker-online" || event_type == "worker-offline");
        let bytes = event.len() as u64 + 64;
        if !(is_half || is_worker) || bytes > left {
            split_up.lost.push(known.rejected());
            continue;
        }
        left -= bytes;
        if row.2 > 0 && row.0 + row.2 != *number {
            end_row(&mut row, &mut split_up.kept);
        }
        if row.2 == 0 {
            row.0 = *number;
        }
        row.1.push(if row.2 == 0 { b'[' } else { b',' });
        row.1.extend_from_slice(event);
        row.2 += 1;
    }
    end_row(&mut row, &mut split_up.kept);
    split_up
}

/// Turns a sequence of events into a parcel: number of the first event, start of the JSON array, and count.
fn end_row((first, json, count): &mut (u64, Vec<u8>, u64), kept: &mut Vec<Parcel>) {
    if *count > 0 {
        json.push(b']');
        kept.push(Parcel::plain(*first, *count, json));
        json.clear();
        *count = 0;
    }
}
