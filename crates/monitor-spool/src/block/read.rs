//! Finds blocks in bytes that may be damaged.

use super::{HEADER, LONGEST, Magic, checksum, size};
use crate::wire::WorkerId;

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
