//! The frame of everything that is appended: a header with a checksum of its own and one of its payload, so that damage to
//! any byte is noticed and costs one block.
//!
//! ```text
//! 0 magic u32 · 4 payload length u32 · 8 number u64 · 16 a u64 · 24 b u64 · 32 payload crc u32 · 36 header crc u32 · 40 payload
//! ```
//! Words are little-endian; a block begins at a multiple of 8 bytes. Both checksums begin with the worker's id, so that the
//! block of another program, or one that stands in somebody's text, is no block here.

use monitor_wire::WorkerId;

pub(crate) const HEADER: usize = 40;
/// A longer payload is no payload.
pub(crate) const LONGEST: usize = 64 << 20;

/// What kind of block it is, and whose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Magic {
    Site = u32::from_le_bytes(*b"MSit"),
    Record = u32::from_le_bytes(*b"MRec"),
    Sent = u32::from_le_bytes(*b"MSnt"),
    Failed = u32::from_le_bytes(*b"MFld"),
}

impl Magic {
    fn of(word: u32) -> Option<Self> {
        [Self::Site, Self::Record, Self::Sent, Self::Failed].into_iter().find(|magic| *magic as u32 == word)
    }
}

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) magic: Magic,
    pub(crate) length: usize,
    pub(crate) number: u64,
    pub(crate) a: u64,
    pub(crate) b: u64,
    payload_crc: u32,
}

/// Bytes of a block with a payload of this length.
pub(crate) const fn size(payload: usize) -> usize {
    (HEADER + payload).next_multiple_of(8)
}

/// The checksum of some parts one after another.
pub(crate) fn checksum(worker: WorkerId, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&worker.get().to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

/// The header of a payload.
pub(crate) fn header(worker: WorkerId, magic: Magic, number: u64, a: u64, b: u64, payload: &[u8]) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[0..4].copy_from_slice(&(magic as u32).to_le_bytes());
    bytes[4..8].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    bytes[8..16].copy_from_slice(&number.to_le_bytes());
    bytes[16..24].copy_from_slice(&a.to_le_bytes());
    bytes[24..32].copy_from_slice(&b.to_le_bytes());
    bytes[32..36].copy_from_slice(&checksum(worker, payload).to_le_bytes());
    let crc = checksum(worker, &bytes[..36]);
    bytes[36..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// A whole block, padded.
pub(crate) fn block(worker: WorkerId, magic: Magic, number: u64, a: u64, b: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size(payload.len()));
    bytes.extend_from_slice(&header(worker, magic, number, a, b, payload));
    bytes.extend_from_slice(payload);
    bytes.resize(size(payload.len()), 0);
    bytes
}

fn word32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn word64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// The header that begins here, if it is one.
pub(crate) fn read_header(worker: WorkerId, bytes: &[u8]) -> Option<Header> {
    let magic = Magic::of(word32(bytes, 0)?)?;
    if word32(bytes, 36)? != checksum(worker, bytes.get(..36)?) {
        return None;
    }
    let length = word32(bytes, 4)? as usize;
    let header =
        Header { magic, length, number: word64(bytes, 8)?, a: word64(bytes, 16)?, b: word64(bytes, 24)?, payload_crc: word32(bytes, 32)? };
    (length <= LONGEST).then_some(header)
}

/// What stands somewhere in a file of blocks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item<'a> {
    /// A whole block, and where it begins.
    Block { at: usize, header: Header, payload: &'a [u8] },
    /// A block whose header is whole, and whose payload is not.
    Damaged { header: Header },
    /// Bytes that belong to no block, up to the next one or the end.
    Garbage,
}

/// Reads blocks one after another, over whatever else stands there.
#[derive(Debug)]
pub(crate) struct Blocks<'a> {
    worker: WorkerId,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Blocks<'a> {
    pub(crate) fn new(worker: WorkerId, bytes: &'a [u8]) -> Self {
        Self { worker, bytes, at: 0 }
    }

    fn header_at(&self, at: usize) -> Option<Header> {
        read_header(self.worker, self.bytes.get(at..)?)
    }
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        let from = self.at;
        // A block that was never begun, or not committed, has zeros for its first words: nothing is damaged there.
        let is_blank = word64(self.bytes, from)? == 0;
        let mut at = from;
        let header = loop {
            if let Some(header) = self.header_at(at) {
                break header;
            }
            at += 8;
            if at + HEADER > self.bytes.len() {
                self.at = self.bytes.len();
                return (!is_blank).then_some(Item::Garbage);
            }
        };
        if at != from {
            self.at = at;
            return Some(Item::Garbage);
        }
        let begin = at + HEADER;
        let payload = self.bytes.get(begin..begin + header.length);
        self.at = (at + size(header.length)).min(self.bytes.len());
        Some(match payload {
            Some(payload) if checksum(self.worker, payload) == header.payload_crc => Item::Block { at, header, payload },
            _ => Item::Damaged { header },
        })
    }
}

/// Reads the payload of one block that is known to begin here.
pub(crate) fn read_one(worker: WorkerId, bytes: &[u8]) -> Option<(Header, &[u8])> {
    let header = read_header(worker, bytes)?;
    let payload = bytes.get(HEADER..HEADER + header.length)?;
    (checksum(worker, payload) == header.payload_crc).then_some((header, payload))
}
