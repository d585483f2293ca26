//! Fuzz entry points. For any file content, reading ends without a panic and uses no more memory than the files are long.

use monitor_core::image::made::{self, Counts, RecordPlace};
use monitor_core::keep::Piece;
use monitor_wire::WorkerId;

use super::{Estate, Events, FileKind, Region};
use crate::Parcel;
use crate::block::{self, Magic};
use crate::program::PAGE;
use crate::replay::all_dropped;

fn worker() -> WorkerId {
    WorkerId::new(1).expect("not zero")
}

/// Reads the bytes as each kind of file.
pub fn raw(bytes: &[u8]) {
    let (program, rest) = bytes.split_at(bytes.len().min(PAGE + 512) / 2);
    read(program, rest, rest, PIECES.map(|piece| (piece, rest.to_vec())));
    let parcel = Parcel::kept(1, 1, bytes.to_vec());
    let _ = (parcel.kinds(), parcel.halve(), parcel.without(1));
}

/// Reads blocks with valid checksums whose headers and payloads are taken from the bytes. The remaining bytes damage the blocks.
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
        // Few bits each, because interesting numbers are small or extreme.
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
    read(program, journal, lane, []);
}

/// Reads rings, frames, slots and folds with valid checksums and content from the bytes. The remaining bytes damage them. Most words are
/// small, so that ids, parents and marks coincide.
pub fn rings(bytes: &[u8]) {
    let (mut frames, mut slots, mut records, mut folds) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (items, rest) = bytes.as_chunks::<14>();
    for [kind, number, words @ ..] in items {
        let word = |at: usize| if words[at] < 250 { u64::from(words[at]) } else { u64::MAX << ((words[at] & 3) * 20) };
        let facts = word(6) | (word(7) & 0x1f) << 32;
        let made = |place| made::record([word(0), word(1), word(2), word(3), word(4), word(5), facts], place);
        match kind % 5 {
            0 => frames.push(made(RecordPlace::Running)),
            1 => slots.push((made(RecordPlace::Running), word(8))),
            2 => slots.push((made(RecordPlace::Ended), word(8))),
            3 => records.push((u64::from(*number), made(RecordPlace::Ring(u64::from(*number))))),
            _ => folds.push(Counts {
                mark: word(0),
                parent: word(1),
                root: word(2),
                facts,
                begun: word(3),
                ended: word(4),
                each: word(5),
                bucket: u64::from(*number) * 3,
                left: word(8),
                elsewhere: word(9),
                failed: word(10),
                revision: word(11),
            }),
        }
    }
    let site =
        |number| block::block(worker(), Magic::Site, number, 0, 0, br#"{"name":"a","kind":"normal","source":{"file":"a","line":1}}"#);
    let program: Vec<u8> = std::iter::once(vec![0; PAGE]).chain((0..4).map(site)).flatten().collect();
    let refused = u64::from(items.len() as u8).wrapping_mul(u64::MAX / 200);
    let pieces = [made::region(&frames, 256, refused), made::segment(0, 256, &records), made::chunk(&slots), made::folds(&folds)];
    let mut pieces: Vec<_> = PIECES.into_iter().zip(pieces).collect();
    for (at, byte) in rest.iter().enumerate() {
        let piece = &mut pieces[at % 4].1;
        let place = at * 4_001 % piece.len();
        piece[place] ^= *byte;
    }
    read(&program, &[], &[], pieces);
}

const PIECES: [Piece; 4] = {
    let (region, base, index) = (0, 0, 0);
    [Piece::Region(region), Piece::Segment { region, base }, Piece::Chunk { region, index }, Piece::Folds { region, index }]
};

fn read(program: &[u8], journal: &[u8], lane: &[u8], pieces: impl IntoIterator<Item = (Piece, Vec<u8>)>) {
    let (mut estate, mut region) = (Estate::default(), Region::default());
    for (kind, bytes) in [(FileKind::Program, program), (FileKind::Lane(1), lane), (FileKind::Journal(1), journal)] {
        estate.take(worker(), kind, String::new(), bytes);
    }
    pieces.into_iter().for_each(|(piece, bytes)| region.take(piece, bytes));
    estate.region(0, &region);
    estate.settle();
    let batches = Events::of(&estate).batches(100).map(|batch| batch.len()).sum::<usize>();
    let _ = (batches, all_dropped(&estate), estate.next(), estate.acknowledged(), estate.damaged(), estate.unread());
}
