//! Made-up files: whatever is in them, reading comes back, without a panic and without more memory than they are long.

use std::collections::BTreeMap;

use monitor_core::keep::Piece;
use monitor_wire::WorkerId;

use super::{Estate, Kind, events};
use crate::Parcel;
use crate::block::{self, Magic};
use crate::program::PAGE;

fn worker() -> WorkerId {
    WorkerId::new(1).expect("not zero")
}

/// Reads the bytes as each kind of file.
pub fn raw(bytes: &[u8]) {
    let (program, rest) = bytes.split_at(bytes.len().min(PAGE + 512) / 2);
    read(program, rest, rest, rest);
    let parcel = Parcel::kept(1, 1, bytes.to_vec());
    let _ = (parcel.kinds(), parcel.halve(), parcel.without(1));
}

/// Reads blocks whose headers and payloads say what the bytes say, and whose checksums fit; what is left over damages them.
pub fn framed(mut bytes: &[u8]) {
    let mut files = [vec![0; PAGE], Vec::new(), Vec::new()];
    while let Some((head, rest)) = bytes.split_at_checked(20) {
        let word = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().expect("8 bytes"));
        let (magic, file) = match head[0] & 3 {
            0 => (Magic::Site, 0),
            1 => (Magic::Record, 1),
            2 => (Magic::Sent, 2),
            _ => (Magic::Failed, 2),
        };
        // Few bits each, for numbers that matter are small ones or the greatest.
        let number = word(1) >> (head[17] & 63);
        let (a, b) = (word(9) >> (head[18] & 63), word(5) >> (head[19] & 63));
        let payload = &rest[..rest.len().min(usize::from(head[0] >> 2) * 4)];
        files[file].extend_from_slice(&block::block(worker(), magic, number, a, b, payload));
        bytes = &rest[payload.len()..];
    }
    for (at, byte) in bytes.iter().enumerate() {
        let file = &mut files[at % 3];
        if let Some(place) = file.len().checked_sub(1 + at * 37 % 4_096) {
            file[place] ^= *byte;
        }
    }
    let [program, journal, lane] = &files;
    read(program, journal, lane, &[]);
}

fn read(program: &[u8], journal: &[u8], lane: &[u8], piece: &[u8]) {
    let mut estate = Estate::default();
    let mut regions = BTreeMap::new();
    let (region, base, index) = (0, 0, 0);
    let pieces = [Piece::Region(region), Piece::Segment { region, base }, Piece::Chunk { region, index }, Piece::Folds { region, index }];
    let files = [(Kind::Program, program), (Kind::Lane(1), lane), (Kind::Journal(1), journal)];
    for (kind, bytes) in files.into_iter().chain(pieces.map(|of| (Kind::Piece(of), piece))) {
        estate.take(worker(), kind, String::new(), bytes.to_vec(), &mut regions);
    }
    estate.settle(&regions);
    let _ = (events(&estate).len(), estate.next(), estate.acknowledged(), estate.damaged(), estate.unread());
}
